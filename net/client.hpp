#pragma once
/// A blocking client of one storage node: connect, hello, requests with a time limit, each answered or
/// failed. When a node elsewhere is lost, requests fail until it is back, then work again.

#include "actors/interfaces.hpp"
#include "core/unified_id.hpp"
#include "net/address.hpp"
#include "net/link_watch.hpp"
#include "net/transport/transport.hpp"

#include <chrono>
#include <functional>
#include <memory>
#include <optional>

#include <caf/actor_system.hpp>
#include <caf/scoped_actor.hpp>

namespace cairn {

struct client_options {
  std::string cluster; ///< empty = any
  std::string node;    ///< of the host's nodes; empty = its own, configured one
  std::chrono::milliseconds connect_timeout{5'000};
  std::chrono::milliseconds request_timeout{60'000};
  std::chrono::milliseconds heartbeat_interval{2'000};
  std::chrono::milliseconds host_timeout{10'000}; ///< of silence, then the node is lost; see README.md
};

/// Why a request has no reply.
enum class call_error : std::uint8_t {
  not_reachable, ///< nobody answers at the address, or the connection was lost: what was under way is
                 ///< unknown. Of a client that was connected: try again later
  timed_out,     ///< no reply within the limit: unknown likewise
  refused,       ///< at connect: the node does not take this client; the text says why
};
struct call_failure {
  call_error what = call_error::not_reachable;
  std::string message;
};
template <class T>
using call_result = tl::expected<T, call_failure>;

/// A reply that is under way. Call it once, at any time, to wait for it.
template <class Reply>
using pending_reply = std::function<call_result<Reply>()>;

/// One thread uses it. Several requests may be under way; keep their payload inside node().limits.
class client {
public:
  /// Connects to a node elsewhere and says hello. From then on it keeps the node reachable by itself.
  static call_result<std::unique_ptr<client>> connect(transport& wire, const host_port& address,
                                                      const client_options& options = {});
  /// The same for a node in this process.
  static call_result<std::unique_ptr<client>> attach(caf::actor_system& system, storage_node_actor node,
                                                     const client_options& options = {});
  ~client();

  /// Waits until requests are carried: at once, unless the node was lost. @error not_reachable, after the
  /// limit
  call_result<void> wait_until_reachable(std::chrono::milliseconds time_limit);

  /// What the node said of itself, its limits and the lease of ids, as of the last call of another member.
  [[nodiscard]] const hello_reply& node() const { return hello_; }
  /// An id for a new version, larger than all before. While the node is lost, it is of the old lease.
  unified_id next_unified_id() {
    take_events();
    return ids_->next();
  }
  /// Makes later ids larger than one that was seen.
  void saw(unified_id id) { ids_->saw(id); }

  /// Sends a request and waits for its reply. A reply that tells a failure is a reply.
  template <class Reply, class Request>
  call_result<Reply> call(Request request) {
    return send<Reply>(std::move(request))();
  }

  /// Sends a request; call what it returns for the reply.
  template <class Reply, class Request>
  pending_reply<Reply> send(Request request) {
    take_events();
    request.env.client_tag = "cairn";
    request.env.message_id = ++last_message_id_;
    return [this, handle = self_->request(node_, caf::infinite, std::move(request))]() mutable {
      call_result<Reply> out;
      handle.receive([&](Reply& reply) { out = std::move(reply); },
                     [&](const caf::error& error) { out = tl::unexpected(explain(error)); });
      return out;
    };
  }

private:
  explicit client(caf::actor_system& system) : system_(system), self_(system) {}
  void use(hello_reply hello);
  void take(link_event event);
  /// Learns what became of the link meanwhile.
  void take_events();
  [[nodiscard]] call_failure explain(const caf::error& error) const;

  caf::actor_system& system_;
  caf::scoped_actor self_;
  storage_node_actor node_;         ///< a link; of a node in this process, a session
  std::optional<link_watch> watch_; ///< of the link
  std::optional<link_lost> loss_;   ///< while the node is lost
  hello_reply hello_;
  std::optional<unified_id_generator> ids_;
  std::uint64_t last_message_id_ = 0;
};

} // namespace cairn
