#pragma once
/// A host over stub nodes: the test decides when each is ready, fails, or has stopped. Actors are spawned as
/// the spawn server would, by the name of their type.

#include "actors/node_host.hpp"
#include "tests/actors/actor_fixture.hpp"

#include <deque>
#include <filesystem>

namespace cairn {

/// One stub node, as the test sees and steers it.
struct stub_node {
  node_settings settings;
  node_owner_actor actor;
  int asked_ready = 0;
  int asked_stop = 0;
  std::vector<std::uint64_t> archives; ///< message_id of each

  std::vector<caf::typed_response_promise<readiness>> awaiting_ready;
  caf::typed_response_promise<node_stopped> stopping;
  std::function<void()> act; ///< done with the next heartbeat; see host_fixture::as()
};

class host_fixture : public actor_fixture {
protected:
  host_fixture();
  ~host_fixture() override;

  /// The host; made at the first call with `options`.
  host_owner_actor host();
  /// What a remote spawn gives.
  spawned_node_actor spawn_one();
  /// A start of node NUMBER that succeeds.
  [[nodiscard]] start_node start_of(std::int32_t number) const;

  /// Sends a start and runs; the stub is then asked to be ready.
  pending_outcome<node_started> start(const caf::actor& coordinator, const spawned_node_actor& handle,
                                      start_node message);
  /// Spawns and starts a node that gets ready.
  spawned_node_actor started(const caf::actor& coordinator, start_node message);
  pending_outcome<node_started> start(const spawned_node_actor& handle, start_node message) {
    return start(client, handle, std::move(message));
  }
  spawned_node_actor started(std::int32_t number) { return started(client, start_of(number)); }

  /// Sends a request from the test's client and runs.
  template <class Reply, class Handle, class Request>
  pending_outcome<Reply> get(const Handle& of, Request request) {
    auto out = ask<Reply>(of, std::move(request));
    run();
    return out;
  }

  /// Does something as the node: an actor's promise is not for other threads.
  void as(stub_node& node, std::function<void()> act);
  void make_ready(stub_node& node);
  /// The start fails: the node says why, and its actor ends.
  void fail_start(stub_node& node, errc code, const std::string& why);
  /// The node answers stop_node and ends.
  void finish_stop(stub_node& node, std::int64_t lost = 0);

  /// Whether an actor has ended.
  template <class Handle>
  static bool has_ended(const Handle& handle) {
    return caf::actor_cast<caf::abstract_actor*>(handle)->getf(caf::abstract_actor::is_terminated_flag);
  }

  std::filesystem::path base;
  std::shared_ptr<spawn_gate> gate = std::make_shared<spawn_gate>();
  node_host_options options;
  std::deque<stub_node> nodes; ///< that the host made, in order

private:
  host_owner_actor host_;
};

} // namespace cairn
