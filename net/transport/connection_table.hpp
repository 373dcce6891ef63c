#pragma once
/// All connections of one transport. Its members belong to CAF's I/O thread, but for those marked
/// thread-safe.

#include "core/admission.hpp"
#include "net/transport/connection.hpp"
#include "net/transport/transport_options.hpp"

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <caf/actor.hpp>
#include <caf/actor_system.hpp>
#include <caf/io/fwd.hpp>
#include <caf/io/network/default_multiplexer.hpp>

namespace cairn {

class connection_table : public std::enable_shared_from_this<connection_table> {
public:
  connection_table(caf::actor_system& system, const transport_limits& limits);

  // --- thread-safe ---

  [[nodiscard]] const transport_limits& limits() const { return limits_; }
  [[nodiscard]] const std::shared_ptr<admission_totals>& totals() const { return totals_; }
  /// This process's node id as CAF writes it.
  [[nodiscard]] const std::string& self() const { return self_; }
  [[nodiscard]] caf::io::network::default_multiplexer& loop() const { return loop_; }
  [[nodiscard]] const caf::actor& broker() const { return broker_; }
  /// Connections that were made and have not ended.
  [[nodiscard]] std::size_t open_count() const { return open_count_; }
  std::uint64_t next_id() { return next_id_++; }
  void made() { ++open_count_; }
  void ended() { --open_count_; }
  /// Has `work` done with the table in the I/O thread.
  template <class Work>
  void post(Work work) {
    loop_.post([table = shared_from_this(), work = std::move(work)] { work(*table); });
  }

  // --- I/O thread ---

  void add(connection& added);
  void remove(connection& removed);
  /// The connection that carries what is sent to a node; 0 = there is none, or it is about to end.
  [[nodiscard]] std::uint64_t connection_to(const caf::node_id& node) const;
  /// Looks for a handle of an actor there that stays good; null without a connection. Handles of a connection
  /// that has ended are voided in a turn of the loop of its own each, and with them whatever handle the actor
  /// has by then.
  void find_handle(const caf::node_id& node, caf::actor_id actor,
                   std::function<void(caf::strong_actor_ptr)> on_found);
  /// After each frame: CAF keeps the address of where the frame came from, which is gone by then, and reads
  /// it when it next makes a handle.
  void forget_last_hop();
  void close(std::uint64_t id, std::string_view reason);
  void close_all(std::string_view reason);
  /// Of all connections: see connection.
  void stop_reading();
  /// What peers have not taken, and how many of them.
  struct untaken {
    std::uint64_t bytes = 0;
    std::size_t connections = 0;
  };
  [[nodiscard]] untaken count_untaken() const;
  /// Ends the oldest connection that has not greeted, to make room.
  void evict_one();
  void sweep(steady_time now);
  /// A connection has stopped reading: look again whenever something is released.
  void watch_releases();
  /// Has each go on that may.
  void reconsider_paused();
  std::uint64_t next_pause() { return ++last_pause_; }
  [[nodiscard]] std::vector<char>& scratch() { return scratch_; }
  [[nodiscard]] frame_buffer_pool& buffers() { return *buffers_; }
  [[nodiscard]] const std::shared_ptr<spare_buffers>& spares() const { return spares_; }

private:
  [[nodiscard]] caf::io::basp_broker* living_broker() const;
  void forget_node(const std::string& node);
  [[nodiscard]] std::vector<connection_pointer> all() const;

  const transport_limits limits_;
  const std::shared_ptr<admission_totals> totals_ = std::make_shared<admission_totals>();
  const std::string self_;
  caf::io::network::default_multiplexer& loop_;
  const caf::actor broker_;
  std::atomic<std::size_t> open_count_{0};
  std::atomic<std::uint64_t> next_id_{1};
  std::map<std::uint64_t, connection*> connections_; ///< those that the broker has taken
  std::vector<char> scratch_;                        ///< where small frames are read; empty between events
  const std::shared_ptr<frame_buffer_pool> buffers_ =
    std::make_shared<frame_buffer_pool>(std::size_t{32} << 20U); ///< outlived by what is in use
  const std::shared_ptr<spare_buffers> spares_ = std::make_shared<spare_buffers>(); ///< for what is sent
  bool is_watching_ = false; ///< some connection is paused
  std::uint64_t last_pause_ = 0;
};

} // namespace cairn
