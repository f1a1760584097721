defmodule GamePlatform.Sessions.SecretTest do
  use ExUnit.Case, async: true

  import Bitwise

  alias GamePlatform.Persistence.DataDir
  alias GamePlatform.Sessions.Secret

  @moduletag :tmp_dir

  test "it is made once, for its owner alone", %{tmp_dir: dir} do
    {:ok, secret} = Secret.of_directory(dir)
    assert byte_size(secret.()) == 32
    path = Path.join(dir, Secret.file())
    assert (File.stat!(path).mode &&& 0o777) == 0o600
    assert File.ls!(dir) == [Secret.file()]
    {:ok, again} = Secret.of_directory(dir)
    assert again.() == secret.()
    refute inspect(secret) =~ secret.()

    # Of a copy that others could read, they no longer can.
    File.chmod!(path, 0o644)
    {:ok, _} = Secret.of_directory(dir)
    assert (File.stat!(path).mode &&& 0o777) == 0o600
  end

  test "one that was harmed is not replaced in silence", %{tmp_dir: dir} do
    path = Path.join(dir, Secret.file())
    File.write!(path, "short")
    assert {:error, error} = Secret.of_directory(dir)

    assert DataDir.describe(error) =~
             "file `secret` of 5 bytes, which is none: restore it from a backup, or remove it"

    assert File.read!(path) == "short"
  end

  test "an open directory may hold it", %{tmp_dir: dir} do
    {:ok, data} = DataDir.open(dir)
    {:ok, _} = Secret.of_directory(dir)
    DataDir.close(data)
    {:ok, data} = DataDir.open(dir)
    DataDir.close(data)
    File.rm!(Path.join(dir, "version"))
    assert {:error, {:data_dir, %{reason: :no_version}}} = DataDir.open(dir)
  end

  test "without a place to write it says what to do" do
    assert {:error, {:data_dir, %{reason: :cannot_write}} = error} = Secret.of_directory("/nowhere/at/all")
    assert DataDir.describe(error) =~ "see that it is yours"
  end
end
