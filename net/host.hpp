#pragma once
/// The host process of a node: actor system, port, signals, orderly end.

#include "core/store/node_settings.hpp"
#include "net/address.hpp"

namespace cairn {

struct host_settings {
  node_settings node;
  host_port listen;
  bool insecure = false; ///< listen beyond loopback although nothing protects the port
};

/// Runs a node until it is told to stop (SIGTERM, SIGINT) or fails. Call it from main(), before any other
/// thread is started: it blocks those signals in all of them.
/// @returns the process's exit code: 0 after a clean stop, 1 otherwise
int run_host(const host_settings& settings);

} // namespace cairn
