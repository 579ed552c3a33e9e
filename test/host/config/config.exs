import Config

config :uro, ecto_repos: [Uro.Repo]
config :uro, Uro.Endpoint, url: [scheme: "https", host: "vsekai.local", path: "/api/v1/"]
