#pragma once
/// How actor systems of different processes reach each other: CAF's wire protocol over connections of our
/// own, with mutual TLS, bounded frames, deadlines and flow control. README.md beside this file tells what
/// CAF's own transport lacks, and what each part does about it.

#include "core/errc.hpp"
#include "net/address.hpp"
#include "net/transport/transport_gate.hpp"
#include "net/transport/transport_options.hpp"

#include <chrono>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include <caf/actor_control_block.hpp>
#include <caf/actor_system.hpp>
#include <caf/node_id.hpp>

namespace cairn {

class connection_table;
class listener;

/// What a port has published, at the other end of a connection.
struct remote_peer {
  caf::strong_actor_ptr published;
  std::set<std::string> interface; ///< the messages it takes, as CAF writes them
  /// For transport::disconnect: what carries the messages. If there was a connection to that process before,
  /// CAF goes on with it and ends the new one.
  std::uint64_t connection = 0;
};

/// One per actor system: made after it, destroyed before it. The system must be configured with
/// `middleman.workers` 0, or received bytes are not charged. Ignores SIGPIPE in the process unless something
/// handles it. Thread-safe.
class transport {
public:
  /// @error invalid_message: the TLS files, see tls_context::load
  static result<std::unique_ptr<transport>> make(caf::actor_system& system, transport_options options);
  /// Stops listening; connections that are open end. Waits for a connect that is under way.
  ~transport();
  transport(const transport&) = delete;
  transport& operator=(const transport&) = delete;

  /// Publishes an actor. At most once.
  /// @returns the port, also when `where` asks for a free one (0)
  /// @error not_found: the host is not known; conflict: the port is in use; storage_error
  result<std::uint16_t> listen(const host_port& where, const caf::strong_actor_ptr& published,
                               std::set<std::string> interface);
  /// Takes no new connection; those that are open go on.
  void stop_listening();

  /// Before the end: reads nothing more, and waits until the peers' machines have all that actors have sent
  /// to them by now, for as long as the limit. Logs what is left then; it is lost with the connections.
  /// Blocks.
  /// @returns bytes that are left
  std::uint64_t finish_sending(std::chrono::milliseconds limit);

  /// Connects, and learns what is published there. Blocks.
  /// @error not_found: nobody listens; version_mismatch: TLS or the protocol does not fit, the text says
  /// why; timed_out
  result<remote_peer> connect(const host_port& where, std::chrono::milliseconds limit);
  /// Cuts a connection: CAF reports the other node's actors as down.
  void disconnect(std::uint64_t connection);

  /// Reads the TLS files anew: for connections from now on. On failure the old ones stay in use.
  /// @error invalid_message
  result<void> reload_tls();

  [[nodiscard]] caf::actor_system& system() const { return system_; }
  /// For functions that may be called when the transport has ended.
  [[nodiscard]] const std::shared_ptr<transport_gate>& gate() const { return gate_; }
  [[nodiscard]] bool has_tls() const { return !options_.tls.empty(); }
  [[nodiscard]] std::size_t connection_count() const;
  /// Bytes of requests that came and are not released yet; of a large one from its begin.
  [[nodiscard]] std::uint64_t held_bytes() const;

private:
  result<remote_peer> connect_once(const host_port& where, std::chrono::steady_clock::time_point deadline);
  [[nodiscard]] remote_peer settled(remote_peer peer) const;
  void await_broker(const caf::node_id& node, std::chrono::steady_clock::time_point deadline);
  transport(caf::actor_system& system, transport_options options,
            std::shared_ptr<const class tls_context> tls);

  caf::actor_system& system_;
  const transport_options options_;
  const std::shared_ptr<connection_table> table_;
  const std::shared_ptr<transport_gate> gate_ = std::make_shared<transport_gate>(*this);
  std::mutex mutex_; ///< guards what follows
  std::shared_ptr<const tls_context> tls_;
  std::unique_ptr<listener> listener_;
};

} // namespace cairn
