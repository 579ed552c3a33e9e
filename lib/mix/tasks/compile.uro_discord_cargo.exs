defmodule Mix.Tasks.Compile.UroDiscordCargo do
  @shortdoc "Builds the NIF and the bridge with Cargo"
  @moduledoc """
  Builds `uro_discord_nif` and `uro-discord-bridge` in release mode and puts them into `priv/native`.

  Cargo decides what is stale, so a compile with nothing to do costs a fraction of a second. Its progress goes to the
  terminal. What it compiles on the way (half a gigabyte) is in the user's cache, `~/.cache/uro_discord/target`, and not in the
  host's `deps`: it survives a new checkout, and an image that is made in stages need not carry it. Two environment variables
  change what happens:

    * `CARGO_TARGET_DIR` (or Cargo's `CARGO_BUILD_BUILD_DIR`) names another folder for that. Programs are never put there, so that two
      checkouts which share it cannot take each other's.
    * `URO_DISCORD_NATIVE` names a folder that already holds both files; they are taken from there and Cargo is not run.
      For images that have no Rust.
  """
  use Mix.Task.Compiler

  @nif "uro_discord_nif.so"
  @bridge "uro-discord-bridge"

  @impl true
  def run(_args) do
    case built() do
      {:ok, files} ->
        changed? = files |> Enum.map(fn {name, path} -> install(path, name) end) |> Enum.any?()
        # Links priv into _build, where :code.priv_dir/1 looks while the rest compiles.
        Mix.Project.build_structure()
        {if(changed?, do: :ok, else: :noop), []}

      {:error, message} ->
        Mix.shell().error(message)
        {:error, [diagnostic(message)]}
    end
  end

  @impl true
  def clean, do: File.rm_rf!(target())

  defp built do
    case System.get_env("URO_DISCORD_NATIVE") do
      nil -> cargo_build()
      folder -> prebuilt(folder)
    end
  end

  defp prebuilt(folder) do
    files = for name <- [@nif, @bridge], do: {name, Path.join(folder, name)}

    case for {_name, path} <- files, not File.regular?(path), do: path do
      [] ->
        {:ok, files}

      missing ->
        {:error,
         "URO_DISCORD_NATIVE is #{folder}, which lacks #{Enum.map_join(missing, " and ", &Path.basename/1)}. " <>
           "Unset it to build them with Cargo."}
    end
  end

  defp cargo_build do
    cargo = System.find_executable("cargo") || Path.expand("~/.cargo/bin/cargo")

    if File.exists?(cargo) do
      # `--message-format` puts what was built on stdout; progress and diagnostics stay on stderr, which is the terminal.
      args =
        ~w(build --release --locked --message-format json-render-diagnostics -p uro_discord_nif -p uro-discord-bridge)

      case System.cmd(cargo, args, cd: File.cwd!(), env: folders()) do
        {output, 0} ->
          artifacts(output)

        {_output, status} ->
          {:error, "cargo build of uro_discord's native parts failed with status #{status}; see above"}
      end
    else
      {:error,
       """
       uro_discord needs Rust to build its native parts, and there is no cargo on this machine.
       Install Rust as https://rustup.rs says, or `apk add cargo` on Alpine, and compile again.
       For a machine that must not have Rust, build elsewhere and set URO_DISCORD_NATIVE to that priv/native.
       """}
    end
  end

  # Programs here, and what is compiled on the way elsewhere.
  defp folders do
    shared =
      Enum.find_value(["CARGO_BUILD_BUILD_DIR", "CARGO_TARGET_DIR"], &System.get_env/1) ||
        Path.join(:filename.basedir(:user_cache, "uro_discord"), "target")

    case File.mkdir_p(shared) do
      :ok -> [{"CARGO_BUILD_BUILD_DIR", shared}, {"CARGO_TARGET_DIR", Path.expand("target")}]
      # Nobody's home, such as in a sandbox.
      {:error, _reason} -> [{"CARGO_TARGET_DIR", Path.expand("target")}]
    end
  end

  # Cargo prints one JSON object a line. There is no JSON library here yet (ours is in the NIF being built).
  defp artifacts(output) do
    paths =
      for line <- String.split(output, "\n"),
          line =~ ~s("reason":"compiler-artifact"),
          [_, names] <- [Regex.run(~r/"filenames":\[([^\]]*)\]/, line)],
          [_, path] <- Regex.scan(~r/"([^"]+)"/, names),
          do: path

    nif =
      Enum.find(
        paths,
        &(Path.basename(&1) in ["liburo_discord_nif.so", "liburo_discord_nif.dylib"])
      )

    bridge = Enum.find(paths, &(Path.basename(&1) == @bridge))

    if nif && bridge,
      do: {:ok, [{@nif, nif}, {@bridge, bridge}]},
      else:
        {:error,
         "cargo built neither a NIF nor a bridge for this platform; uro_discord is made for Linux (on macOS nobody has tried it)"}
  end

  # By a temporary file and a rename: a running VM has the old NIF mapped, and writing into it would crash that VM.
  defp install(source, name) do
    destination = Path.join(target(), name)

    if same?(source, destination) do
      false
    else
      File.mkdir_p!(target())
      File.cp!(source, destination <> ".new")
      File.rename!(destination <> ".new", destination)
      true
    end
  end

  defp same?(source, destination) do
    case {File.stat!(source), File.stat(destination)} do
      {%{size: size}, {:ok, %{size: size}}} -> digest(source) == digest(destination)
      _ -> false
    end
  end

  defp digest(path), do: :crypto.hash(:sha256, File.read!(path))

  defp target, do: Path.expand("priv/native")

  defp diagnostic(message) do
    %Mix.Task.Compiler.Diagnostic{
      compiler_name: "uro_discord_cargo",
      file: Path.expand("Cargo.toml"),
      message: message,
      position: 0,
      severity: :error
    }
  end
end
