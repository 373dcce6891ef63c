#pragma once
/// The other side of a host process: an actor system of its own that spawns nodes in the host and talks to
/// them.

#include "actors/interfaces.hpp"
#include "net/client.hpp"
#include "net/endpoint.hpp"
#include "net/network.hpp"
#include "tests/harness/host_process.hpp"

#include <memory>
#include <optional>
#include <string>

#include <caf/actor_system.hpp>
#include <caf/scoped_actor.hpp>

namespace cairn::harness {

class coordinator;

/// A process's end of the network, for clients and links of a test's own. @throws harness_error
std::unique_ptr<network> open_network(transport_options options = {});

/// A node that a coordinator spawned in a host. It ends with the coordinator, unless its settings say
/// otherwise. Its coordinator outlives this object.
class spawned_node {
public:
  [[nodiscard]] const std::string& name() const { return started_.name; }
  [[nodiscard]] const std::string& data_directory() const { return started_.data_directory; }
  /// What the host said when the node was ready.
  [[nodiscard]] const node_started& started() const { return started_; }
  /// The typed handle.
  [[nodiscard]] const spawned_node_actor& handle() const { return handle_; }

  /// A client that said hello. @throws harness_error when it is refused
  [[nodiscard]] std::unique_ptr<client> attach() const;
  /// Ends it in order; other nodes of the host do not notice.
  /// @returns how many requests had no answer. @throws harness_error when it does not end
  std::int64_t end();
  /// Its PostgreSQL ends as a crash would; the node starts another.
  void lose_database() const { lose_database_of(data_directory()); }
  /// Waits until the coordinator has lost it: it ended, or its host or the connection did.
  /// @throws harness_error at the deadline
  void wait_until_lost() const;

private:
  friend class coordinator;
  spawned_node(coordinator& by, spawned_node_actor handle, node_started started)
      : by_(&by), handle_(std::move(handle)), started_(std::move(started)) {}

  coordinator* by_;
  spawned_node_actor handle_;
  node_started started_;
};

/// One thread uses it. It may outlive the host.
class coordinator {
public:
  explicit coordinator(host_process& host) : coordinator(host.address(), host.client_net()) {}
  /// @throws harness_error when the TLS files do not fit
  explicit coordinator(host_port host, transport_options net = {});
  coordinator(const coordinator&) = delete;
  coordinator& operator=(const coordinator&) = delete;
  ~coordinator();

  [[nodiscard]] caf::actor_system& system() { return net_->system(); }
  [[nodiscard]] transport& wire() { return net_->wire(); }
  /// What the host's port publishes; connects when it is first asked for.
  /// @throws harness_error when the host is not reachable
  [[nodiscard]] const host_actor& host();

  /// Settings under which spawn_node() starts a node of that name: a number of its own, a directory of its
  /// name below the host's spawn root, all else as cairnd has it.
  start_node settings_of(const std::string& name);
  /// Spawns a node and starts it. @throws harness_error when it is refused, with what the host said
  spawned_node spawn_node(const std::string& name) { return spawn_node(settings_of(name)); }
  spawned_node spawn_node(const start_node& settings);
  /// The two steps of it. @throws harness_error when the host makes no such actor, or no answer comes
  spawned_node_actor spawn_unstarted();
  node_started start(const spawned_node_actor& spawned, const start_node& settings) {
    return ask<node_started>(spawned, settings);
  }

  /// A client of the host's own node. @throws harness_error when it is not reachable or refuses
  std::unique_ptr<client> connect();
  /// A client of a node by its handle. @throws harness_error when it refuses
  std::unique_ptr<client> attach(const storage_node_actor& node);
  std::unique_ptr<client> attach(const spawned_node_actor& node) {
    return attach(caf::actor_cast<storage_node_actor>(node));
  }

  /// A reply of any actor, whatever it says. @throws harness_error when none comes
  template <class Reply, class Handle, class Request>
  Reply ask(const Handle& whom, Request request) {
    std::optional<Reply> out;
    std::string problem;
    (*self_)
      ->request(whom, patience, std::move(request))
      .receive([&](Reply& reply) { out = std::move(reply); },
               [&](const caf::error& error) { problem = system().render(error); });
    if (!out)
      throw harness_error("no reply: " + problem);
    return std::move(*out);
  }
  /// Waits until an actor has ended, or its host or the connection has. @throws harness_error at the deadline
  template <class Handle>
  void wait_until_lost(const Handle& whom) {
    caf::scoped_actor watcher(system());
    watcher->monitor(whom);
    auto is_lost = false;
    watcher->receive([&](const caf::down_msg&) { is_lost = true; }, caf::after(patience) >> [] {});
    if (!is_lost)
      throw harness_error("the actor was never lost");
  }

private:
  /// Of one answer; a node that starts makes a PostgreSQL first.
  static constexpr std::chrono::seconds patience{120};

  host_port address_;
  std::unique_ptr<network> net_;
  std::optional<caf::scoped_actor> self_; ///< whose end tells spawned nodes that this coordinator is gone
  host_actor host_;
  std::int32_t last_node_id_ = 1; ///< 1 is the host's own node
};

} // namespace cairn::harness
