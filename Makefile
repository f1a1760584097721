# What people type. Everything here works on a fresh clone.
.DEFAULT_GOAL := run
.PHONY: run setup test soak bench

# A bare machine has no locale, and Elixir wants UTF-8.
export LC_ALL ?= C.UTF-8
export PATH := $(PATH):$(HOME)/.cargo/bin

run: setup
	@scripts/web
	@scripts/serve $(ARGS)

setup:
	@scripts/setup

test:
	@scripts/setup --tests
	@scripts/test

# Minutes of kills and garbage; SOAK_KILLS, SOAK_CRASHES, SOAK_CUTS and SOAK_GARBAGE say how many;
# ROULETTE_CLIENTS and ROULETTE_HOPS how many clients hop between transports, and how often each.
soak: setup
	@mix test --only soak test/soak

bench: setup
	@mix bench all
	@cargo bench
