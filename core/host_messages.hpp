#pragma once
/// What coordinators and a host process say to each other about whole nodes. Each request has exactly one
/// reply; its `error_message` is empty on success, else one line that says what was wrong and what would be
/// right. Messages that carry actors are in actors/interfaces.hpp.

#include "core/messages.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cairn {

inline constexpr std::size_t max_root_bytes = 1024;
inline constexpr std::size_t max_database_bytes = 4096;

/// Are you there? Comes back unchanged. Needs no hello.
struct heartbeat {
  std::uint64_t number = 0;

  bool operator==(const heartbeat&) const = default;
  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, heartbeat& x) {
    return f(x.number);
  }
};

/// Asks a host for one of its nodes. Answered by found_node.
struct find_node {
  std::uint32_t version = wire_version;
  std::string name; ///< empty = the host's own, configured node

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, find_node& x) {
    return f(x.version, x.name);
  }
};

/// Asks a host for all of its nodes.
struct list_hosted {
  std::uint32_t version = wire_version;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, list_hosted& x) {
    return f(x.version);
  }
};

/// What becomes of a spawned node when no coordinator that started it is left.
enum class coordinator_loss : std::uint8_t {
  stop,  ///< it ends in order; its data stay
  go_on, ///< it stays, and find_node gives its handle to whoever asks
};
std::string_view to_string(coordinator_loss what);
/// The reverse. @returns nothing for another word
std::optional<coordinator_loss> parse_coordinator_loss(std::string_view text);

/// One node of a host.
struct hosted_node {
  std::string name;
  node_id node;
  node_phase phase = node_phase::starting; ///< as the host sees it; get_status asks the node itself
  bool is_spawned = false;                 ///< for a coordinator; else the host's own, configured one
  std::string data_directory;
  coordinator_loss on_coordinator_loss = coordinator_loss::stop; ///< of a spawned node
  std::int32_t coordinators = 0;                                 ///< likewise: that started it and are alive

  bool operator==(const hosted_node&) const = default;
  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, hosted_node& x) {
    return f(x.name, x.node, x.phase, x.is_spawned, x.data_directory, x.on_coordinator_loss, x.coordinators);
  }
};

struct hosted_nodes {
  errc result = errc::success;
  std::string error_message;
  std::string cluster; ///< the host's
  std::string program_version;
  bool allows_spawn = false;
  std::vector<hosted_node> nodes; ///< the configured one first, then by name

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, hosted_nodes& x) {
    return f(x.result, x.error_message, x.cluster, x.program_version, x.allows_spawn, x.nodes);
  }
};

/// Makes a spawned actor a storage node. Its sender becomes a coordinator of the node: send it from an actor
/// that lives for as long as the node is yours. Answered when the node is ready, or with why it will not be.
/// Repeating it, through this handle or a new one, is safe: with the same settings it succeeds and the sender
/// is a coordinator too; with other settings it is refused (`conflict`) and nothing changes.
struct start_node {
  std::uint32_t version = wire_version;
  std::string cluster; ///< empty = the host's
  std::string name;    ///< 1..63 bytes of [A-Za-z0-9._-], unique in the cluster
  node_id node;        ///< unique in the cluster
  /// Data directory: absolute, or relative to the host's spawn root; below it in either case. Made if it is
  /// not there; a node that was here before goes on with its data.
  std::string root;
  std::string database; ///< connection string or URI; empty = the node runs its own PostgreSQL
  std::int64_t sync_interval_ms = 1'000;            ///< 1..3,600,000
  std::int64_t idle_limit_ms = 60'000;              ///< 100..86,400,000
  std::uint64_t max_value_file_bytes = 1ULL << 30U; ///< 1 MiB..1 TiB
  node_limits limits;
  coordinator_loss on_coordinator_loss = coordinator_loss::stop;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, start_node& x) {
    return f(x.version, x.cluster, x.name, x.node, x.root, x.database, x.sync_interval_ms, x.idle_limit_ms,
             x.max_value_file_bytes, x.limits, x.on_coordinator_loss);
  }
};

struct node_started {
  errc result = errc::success;
  std::string error_message;
  std::uint32_t version = wire_version;
  std::string program_version;
  std::string cluster;
  std::string name;
  std::string data_directory; ///< absolute, symlinks resolved
  recovery_report recovery;   ///< of the start that made it ready

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, node_started& x) {
    return f(x.result, x.error_message, x.version, x.program_version, x.cluster, x.name, x.data_directory,
             x.recovery);
  }
};

/// Ends the node of a spawned actor in order (actors/README.md). Answered when its lock is free again; after
/// the answer the actor ends, too. One that was not started just ends.
struct end_node {
  std::string name; ///< of the node that is meant; empty = whichever it is

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, end_node& x) {
    return f(x.name);
  }
};

struct node_ended {
  errc result = errc::success;
  std::string error_message;
  std::int64_t lost = 0; ///< requests that had no answer

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, node_ended& x) {
    return f(x.result, x.error_message, x.lost);
  }
};

} // namespace cairn
