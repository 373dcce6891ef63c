#pragma once
/// The host process of nodes: actor system, port, signals, orderly end.

#include "core/store/node_settings.hpp"
#include "net/address.hpp"
#include "net/transport/transport_options.hpp"

#include <string>
#include <vector>

namespace cairn {

struct host_settings {
  /// Its own node; without a data directory it has none, and the rest is what spawned nodes share with it.
  node_settings node;
  host_port listen;
  transport_options net;              ///< its TLS files and limits; who may connect is said here:
  std::vector<std::string> tls_peers; ///< names in certificates, besides the cluster's nodes; "*" = any
  bool insecure = false;              ///< listen beyond loopback although nothing protects the port
  disk* value_file_disk = nullptr;    ///< of every node in the host; null = the operating system's

  bool allow_remote_spawn = false; ///< coordinators may start nodes here
  std::string spawn_root;          ///< below it are their data directories
  std::size_t max_spawned = 16;    ///< of them at a time
};

/// Whether the settings make sense. @error invalid_message
result<void> check(const host_settings& settings);

/// Runs the host until it is told to stop (SIGTERM, SIGINT) or its own node fails. SIGHUP has it read its TLS
/// files anew. Call it from main(),
/// before any other thread is started: it blocks those signals in all of them.
/// @returns the process's exit code: 0 after a clean stop, 1 otherwise
int run_host(const host_settings& settings);

} // namespace cairn
