# What takes minutes is run by `make soak`.
ExUnit.start(exclude: [:soak])
