defmodule UroDiscord.Accounts.User do
  @moduledoc """
  A Uro user, as `UroDiscord.Accounts.Directory` tells of him.

    * `id`: a text, the same for as long as the user is there;
    * `display_name`, `username`: nil where there is none;
    * `attributes`: what rules and nicknames are made of, by names such as `"is_admin"`; one that the directory cannot tell just now is `:unknown`, and
      roles that go by it stay as they are;
    * `groups`: the names of groups that the user is in;
    * `locked?`: a locked user has no roles, and may not link an account.
  """

  @enforce_keys [:id]
  defstruct [:id, :display_name, :username, attributes: %{}, groups: [], locked?: false]

  @type t :: %__MODULE__{
          id: String.t(),
          display_name: String.t() | nil,
          username: String.t() | nil,
          attributes: %{String.t() => term()},
          groups: [String.t()],
          locked?: boolean()
        }
end
