#pragma once
/// One connection, as CAF's broker sees it (a scribe) and as CAF's event loop sees it (an event handler). It
/// cuts the bytes into frames itself, has each judged before CAF sees it, charges it to the connection's
/// account, and stops reading while too much is held. Lives in CAF's I/O thread once the broker has it.

#include "core/admission.hpp"
#include "core/disk/posix.hpp"
#include "core/frame_buffer.hpp"
#include "net/transport/frame_guard.hpp"
#include "net/transport/send_queue.hpp"
#include "net/transport/socket_stream.hpp"

#include <array>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include <caf/intrusive_ptr.hpp>
#include <caf/io/network/default_multiplexer.hpp>
#include <caf/io/network/event_handler.hpp>
#include <caf/io/scribe.hpp>

namespace cairn {

class connection_table;
using steady_time = std::chrono::steady_clock::time_point;

/// A connected socket whose TLS handshake, if it has one, is done.
struct connected_socket {
  posix::unique_fd fd;
  tls_session session;
  std::string peer_name; ///< of its certificate; empty when plain
};

class connection final : public caf::io::scribe, private caf::io::network::event_handler {
public:
  connection(caf::io::network::default_multiplexer& loop, connected_socket socket, frame_role role,
             std::shared_ptr<connection_table> table);
  ~connection() override;

  [[nodiscard]] std::uint64_t id() const { return id_; }
  [[nodiscard]] bool is_greeted() const { return !guard_.peer().empty(); }
  [[nodiscard]] bool is_paused() const { return is_paused_; }
  [[nodiscard]] bool is_closing() const { return is_closing_; }
  [[nodiscard]] const std::string& peer_node() const { return guard_.peer(); }
  [[nodiscard]] steady_time opened() const { return opened_; }

  // --- I/O thread only ---

  /// Ends it now, whatever is unsent.
  void close_now(std::string_view reason);
  /// Reads nothing more; what is unsent still goes.
  void stop_reading();
  /// Bytes that the peer's machine has not acknowledged.
  [[nodiscard]] std::uint64_t untaken_bytes() const;
  /// When it stopped reading; an order among those that are paused.
  [[nodiscard]] std::uint64_t paused_at() const { return paused_at_; }
  /// Goes on reading if what made it stop is over.
  void reconsider();
  /// Ends it if it has outstayed a limit; gives memory back that it has not used lately.
  /// @param is_room_scarce others wait for room: a large frame that comes too slowly loses its own
  void sweep(steady_time now, bool is_room_scarce);

  // --- caf::io::scribe ---

  void configure_read(caf::io::receive_policy::config) override; ///< starts it; frames are our own business
  void ack_writes(bool) override {}
  std::vector<char>& wr_buf() override { return unsent_.open_end(); }
  std::vector<char>& rd_buf() override { return *being_read_; }
  void graceful_shutdown() override;
  void flush() override;
  [[nodiscard]] std::string addr() const override;
  [[nodiscard]] std::uint16_t port() const override;
  void add_to_loop() override;
  void remove_from_loop() override;

private:
  using self_pointer = caf::intrusive_ptr<connection>;

  connection(caf::io::network::default_multiplexer& loop, connected_socket socket, frame_role role,
             std::shared_ptr<connection_table> table, std::uint64_t id);

  // caf::io::network::event_handler
  void handle_event(caf::io::network::operation op) override;
  void removed_from_loop(caf::io::network::operation op) override;

  void read_all();
  stream_outcome read_once();
  bool take(std::span<const char> bytes);
  bool take_header(std::span<const char>& bytes);
  bool begin_payload();
  void claim_room();
  [[nodiscard]] bool is_behind(steady_time now) const;
  bool finish_frame();
  bool deliver_frame();
  bool drop_or_close(frame_verdict verdict);
  void begin_frame();
  void settle();
  void make_room(std::size_t filled_bytes);
  std::vector<char>& incoming() { return frame_->bytes; }

  [[nodiscard]] bool may_read() const;
  void pause();
  void resume();

  void write_soon();
  void write_all();
  void count_unsent();
  void broke();

  const std::uint64_t id_;
  const frame_role role_;
  const std::string peer_name_;
  const steady_time opened_ = std::chrono::steady_clock::now();
  const std::shared_ptr<connection_table> table_;
  const std::shared_ptr<connection_account> account_;
  socket_stream stream_;
  frame_guard guard_;

  self_pointer reading_self_; ///< while the loop, or a pause, needs this object for reading
  self_pointer writing_self_; ///< likewise for writing
  bool is_started_ = false;
  bool is_paused_ = false;
  std::uint64_t paused_at_ = 0;
  bool is_ending_ = false;      ///< reads nothing more
  bool is_settling_ = false;    ///< it has greeted in this turn of the loop: what follows waits for the next
  std::vector<char> kept_back_; ///< of it, what was read already
  bool is_closing_ = false;     ///< unsent bytes still go, then it ends
  steady_time closing_since_;

  // The frame that comes in.
  std::array<char, frame_guard::header_bytes> header_bytes_{};
  std::size_t header_filled_ = 0;
  frame_header header_;
  std::vector<char> header_buffer_;     ///< as handed to CAF
  std::shared_ptr<frame_buffer> frame_; ///< of the payload; its bytes may be more than have come
  std::size_t payload_filled_ = 0;
  std::vector<char>* being_read_ = &header_buffer_; ///< that, or the payload: what CAF is handed
  bool lacks_room_ = false;                         ///< a large payload waits until the total has room for it
  frame_charge charge_; ///< of a large payload from its begin, of any other while it is handed on
  steady_time frame_begun_;
  steady_time last_read_ = opened_;

  // What goes out.
  send_queue unsent_; ///< CAF appends to it
  bool write_is_posted_ = false;
  bool write_is_registered_ = false;
  steady_time last_written_ = opened_;
};

using connection_pointer = caf::intrusive_ptr<connection>;

} // namespace cairn
