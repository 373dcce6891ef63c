#include "net/transport/connection.hpp"

#include "net/transport/connection_table.hpp"

#include <algorithm>
#include <new>

#include <caf/io/basp/header.hpp>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <spdlog/spdlog.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

namespace cairn {

namespace {

using caf::io::network::operation;

/// A payload of which this much has come, and this much not, is read into its place, without a stop in the
/// scratch buffer.
constexpr std::size_t direct_read_bytes = 16 * 1024;
/// How far a payload's buffer runs ahead of what has come, at most: not further than what has come.
constexpr std::size_t read_ahead_bytes = 256 * 1024;
/// One connection's turn in the event loop.
constexpr std::size_t turn_bytes = 1024 * 1024;
/// A frame's buffer up to this size stays with an idle connection.
constexpr std::size_t kept_bytes = 16 * 1024;
/// For how long what is unsent may still go when the connection was ended in order.
constexpr std::chrono::seconds closing_limit{5};

/// A peer whose machine is gone answers nothing: let the kernel find out.
void keep_alive(int fd) {
  const auto set = [&](int level, int option, int value) {
    ::setsockopt(fd, level, option, &value, sizeof value);
  };
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, 30);
  set(IPPROTO_TCP, TCP_KEEPINTVL, 10);
  set(IPPROTO_TCP, TCP_KEEPCNT, 3);
}

/// By what CAF knows a connection. Not its descriptor, as CAF's own connections: the kernel gives that to the
/// next connection while CAF may still have the end of this one to work off, and would end the next one's
/// routes.
caf::io::connection_handle handle_of(std::uint64_t id) {
  constexpr std::int64_t beyond_descriptors = std::int64_t{1} << 32;
  return caf::io::connection_handle::from_int(beyond_descriptors + static_cast<std::int64_t>(id));
}

} // namespace

connection::connection(caf::io::network::default_multiplexer& loop, connected_socket socket, frame_role role,
                       std::shared_ptr<connection_table> table)
    : connection(loop, std::move(socket), role, table, table->next_id()) {}

connection::connection(caf::io::network::default_multiplexer& loop, connected_socket socket, frame_role role,
                       std::shared_ptr<connection_table> table, std::uint64_t id)
    : caf::io::scribe(handle_of(id)), event_handler(loop, socket.fd.get()), id_(id), role_(role),
      peer_name_(std::move(socket.peer_name)), table_(std::move(table)),
      account_(std::make_shared<connection_account>(table_->totals())),
      stream_(socket.fd.get(), std::move(socket.session)),
      guard_(role, table_->limits().max_frame_bytes, table_->self()), unsent_(table_->spares()) {
  keep_alive(socket.fd.release()); // the event handler's from now on
  table_->made();
}

connection::~connection() {
  if (is_started_)
    table_->remove(*this);
  account_->set_unsent(0);
  table_->ended();
}

// --- life ---

void connection::configure_read(caf::io::receive_policy::config) {
  if (is_started_)
    return;
  is_started_ = true;
  table_->add(*this);
  add_to_loop();
}

void connection::add_to_loop() {
  if (reading_self_ || is_closing_)
    return;
  reading_self_.reset(this);
  event_handler::activate();
}

void connection::remove_from_loop() {
  const self_pointer guard(this);
  is_paused_ = false;
  // Also takes back an activation that the loop has not seen yet: it would meet a closed descriptor.
  event_handler::passivate();
  if ((eventbf() & caf::io::network::input_mask) == 0)
    reading_self_.reset(); // else removed_from_loop lets go of it
}

void connection::removed_from_loop(operation op) {
  if (op == operation::read) {
    if (!is_paused_)
      reading_self_.reset();
  } else {
    write_is_registered_ = false;
    writing_self_.reset();
  }
}

void connection::graceful_shutdown() {
  const self_pointer guard(this);
  is_closing_ = true;
  closing_since_ = std::chrono::steady_clock::now();
  if (unsent_.empty())
    stream_.finish();
  detach(&backend(), false);
}

void connection::close_now(std::string_view reason) {
  const self_pointer guard(this);
  spdlog::debug("connection_closed id={} peer=\"{}\" reason=\"{}\"", id_, peer_name_, reason);
  broke();
}

void connection::stop_reading() {
  is_ending_ = true;
  pause();
}

/// Also what lies in the kernel: it is dropped when a socket is closed in which received bytes lie unread.
std::uint64_t connection::untaken_bytes() const {
  const auto fd = event_handler::fd();
  tcp_info info{};
  socklen_t size = sizeof info;
  if (::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0 || info.tcpi_state == TCP_CLOSE)
    return 0; // nothing can be taken any more
  int in_kernel = 0;
  if (::ioctl(fd, SIOCOUTQ, &in_kernel) != 0)
    in_kernel = 0;
  return unsent_.size_bytes() + static_cast<std::uint64_t>(in_kernel);
}

/// Nothing more comes or goes: CAF is told, and the loop lets go.
void connection::broke() {
  const self_pointer guard(this);
  ::shutdown(event_handler::fd(), SHUT_RDWR);
  unsent_.clear();
  count_unsent();
  is_closing_ = true;
  if (write_is_registered_) {
    backend().del(operation::write, event_handler::fd(), this);
    if ((eventbf() & caf::io::network::output_mask) == 0)
      removed_from_loop(operation::write); // the loop had not seen it yet, and will not tell
  }
  io_failure(&backend(), operation::read);
}

void connection::handle_event(operation op) {
  const self_pointer guard(this); // what it does may end it
  switch (op) {
    case operation::read: read_all(); break;
    case operation::write: write_all(); break;
    case operation::propagate_error: broke(); break;
  }
}

// --- reading ---

void connection::read_all() {
  std::size_t taken = 0;
  while (reading_self_ && !is_paused_ && !is_settling_ && !detached()) {
    const auto got = read_once();
    if (got.state == stream_state::ended) {
      broke();
      return;
    }
    if (got.state == stream_state::blocked)
      return;
    taken += got.bytes;
    if (taken < turn_bytes)
      continue;
    // Others have their turn. The loop comes back for what lies in the socket, not for what TLS holds.
    if (stream_.pending_bytes() != 0)
      backend().post([self = self_pointer(this)] { self->read_all(); });
    return;
  }
}

/// One read: a large payload straight into its place, everything else through the scratch buffer.
stream_outcome connection::read_once() {
  const auto missing = header_filled_ == header_bytes_.size() ? header_.payload_bytes - payload_filled_ : 0;
  if (missing < direct_read_bytes || payload_filled_ < direct_read_bytes) {
    auto& scratch = table_->scratch();
    const auto got = stream_.read_some(scratch.data(), scratch.size());
    if (got.state == stream_state::moved)
      take({scratch.data(), got.bytes});
    return got;
  }
  if (incoming().size() <= payload_filled_)
    make_room(payload_filled_ + std::min({missing, payload_filled_, read_ahead_bytes}));
  const auto got = stream_.read_some(incoming().data() + payload_filled_,
                                     std::min(incoming().size() - payload_filled_, missing));
  if (got.state == stream_state::moved) {
    payload_filled_ += got.bytes;
    if (payload_filled_ == header_.payload_bytes)
      finish_frame();
  }
  return got;
}

/// Cuts bytes into frames. @returns false when the connection has ended by it
bool connection::take(std::span<const char> bytes) {
  while (!bytes.empty()) {
    if (is_settling_) {
      kept_back_.assign(bytes.begin(), bytes.end());
      return true;
    }
    if (header_filled_ < header_bytes_.size()) {
      if (!take_header(bytes))
        return false;
      continue;
    }
    const auto count = std::min<std::size_t>(bytes.size(), header_.payload_bytes - payload_filled_);
    make_room(payload_filled_ + count);
    std::copy_n(bytes.begin(), count, incoming().begin() + static_cast<std::ptrdiff_t>(payload_filled_));
    payload_filled_ += count;
    bytes = bytes.subspan(count);
    if (payload_filled_ == header_.payload_bytes && !finish_frame())
      return false;
  }
  return true;
}

bool connection::take_header(std::span<const char>& bytes) {
  if (header_filled_ == 0)
    frame_begun_ = std::chrono::steady_clock::now();
  const auto count = std::min(bytes.size(), header_bytes_.size() - header_filled_);
  std::copy_n(bytes.begin(), count, header_bytes_.begin() + static_cast<std::ptrdiff_t>(header_filled_));
  header_filled_ += count;
  bytes = bytes.subspan(count);
  if (header_filled_ < header_bytes_.size())
    return true;
  if (guard_.judge_header(header_bytes_, header_) != frame_verdict::pass)
    return drop_or_close(frame_verdict::close);
  return header_.payload_bytes == 0 ? finish_frame() : begin_payload();
}

/// Bytes of the payload have their place, if they lie within what begin_payload has reserved. A buffer that
/// is used again has more than have come.
void connection::make_room(std::size_t filled_bytes) {
  if (incoming().size() < filled_bytes)
    incoming().resize(filled_bytes);
}

/// Reserves addresses for the payload; memory comes with the bytes. One that is more than modest is charged
/// before it comes, so that any number of unfinished ones stays within the total.
bool connection::begin_payload() {
  payload_filled_ = 0;
  lacks_room_ = role_ == frame_role::server && header_.payload_bytes > table_->limits().modest_bytes;
  if (!may_read())
    pause();
  else if (lacks_room_)
    claim_room();
  try {
    if (!frame_ || incoming().capacity() < header_.payload_bytes)
      frame_ = table_->buffers().take(header_.payload_bytes);
    incoming().reserve(header_.payload_bytes);
  } catch (const std::bad_alloc&) {
    close_now("no memory for a frame");
    return false;
  }
  return true;
}

void connection::claim_room() {
  lacks_room_ = false;
  charge_ =
    std::make_shared<const received_frame>(account_, frame_guard::header_bytes + header_.payload_bytes);
}

bool connection::finish_frame() {
  last_read_ = std::chrono::steady_clock::now();
  if (header_.payload_bytes != 0)
    incoming().resize(payload_filled_);
  const auto had_greeted = is_greeted();
  const auto verdict =
    header_.payload_bytes == 0 ? frame_verdict::pass : guard_.judge_payload(header_, incoming());
  if (verdict != frame_verdict::pass && !drop_or_close(verdict))
    return false;
  if (verdict == frame_verdict::pass && !deliver_frame())
    return false;
  if (!had_greeted && is_greeted())
    settle();
  begin_frame();
  if (!may_read())
    pause();
  return true;
}

bool connection::drop_or_close(frame_verdict verdict) {
  if (verdict == frame_verdict::drop) {
    spdlog::debug("frame_dropped id={} peer=\"{}\" reason=\"{}\"", id_, peer_name_, guard_.reason());
    return true;
  }
  close_now(guard_.reason());
  return false;
}

/// CAF reads a frame in two steps, and decodes its message in the second.
bool connection::deliver_frame() {
  if (!charge_)
    claim_room();
  frame_being_decoded() = std::move(charge_);
  header_buffer_.assign(header_bytes_.begin(), header_bytes_.end());
  being_read_ = &header_buffer_;
  auto goes_on = consume(&backend(), header_buffer_.data(), header_buffer_.size());
  if (goes_on && !detached() && header_.payload_bytes != 0) {
    frame_->begin_decoding(frame_being_decoded());
    buffer_being_decoded() = frame_;
    being_read_ = &incoming();
    goes_on = consume(&backend(), incoming().data(), incoming().size());
    buffer_being_decoded().reset();
    being_read_ = &header_buffer_;
    if (frame_->has_parts())
      frame_.reset();
    else
      frame_->end_decoding();
  }
  frame_being_decoded().reset();
  table_->forget_last_hop();
  return goes_on && !detached();
}

/// When an earlier connection to the same node has ended, CAF voids the handles of that node's actors in a
/// turn of the loop of its own, by their numbers: also those that messages of the new connection have brought
/// by then.
void connection::settle() {
  is_settling_ = true;
  backend().post([self = self_pointer(this)] {
    self->is_settling_ = false;
    const auto kept = std::exchange(self->kept_back_, {});
    if (!self->detached() && self->take(kept))
      self->read_all();
  });
}

void connection::begin_frame() {
  header_filled_ = 0;
  payload_filled_ = 0;
  if (frame_ && incoming().capacity() > kept_bytes)
    frame_.reset(); // for whoever needs one next: what lies idle is bounded for all connections together
  header_ = {};
  lacks_room_ = false;
  charge_.reset();
}

// --- flow ---

/// A client takes whatever its node sends: it has asked for it.
bool connection::may_read() const {
  if (is_ending_)
    return false;
  if (role_ == frame_role::client)
    return true;
  const auto& limits = table_->limits();
  const auto held = account_->held_bytes();
  return held <= limits.max_held_bytes
         && ((held <= limits.modest_bytes && !lacks_room_)
             || table_->totals()->held_bytes() <= limits.max_total_held_bytes)
         && account_->unsent_bytes() <= limits.max_unsent_bytes;
}

void connection::pause() {
  if (is_paused_ || detached())
    return;
  is_paused_ = true;
  paused_at_ = table_->next_pause();
  event_handler::passivate();
  table_->watch_releases();
  backend().post([self = self_pointer(this)] { self->reconsider(); }); // what was released in between
}

void connection::reconsider() {
  if (is_paused_ && may_read())
    resume();
}

void connection::resume() {
  const self_pointer guard(this);
  is_paused_ = false;
  frame_begun_ = last_read_ = std::chrono::steady_clock::now();
  if (lacks_room_)
    claim_room();
  event_handler::activate();
  read_all(); // TLS may hold what the socket does not tell of
}

// --- writing ---

void connection::flush() {
  unsent_.seal_if_large();
  if (!unsent_.empty())
    write_soon();
  count_unsent();
}

/// At the end of this turn of the loop, so that all answers of the turn go in one call.
void connection::write_soon() {
  if (write_is_posted_ || write_is_registered_)
    return;
  write_is_posted_ = true;
  backend().post([self = self_pointer(this)] {
    self->write_is_posted_ = false;
    self->write_all();
  });
}

void connection::write_all() {
  for (;;) {
    const auto next = unsent_.front();
    if (next.empty())
      break;
    const auto put = stream_.write_some(next.data(), next.size());
    if (put.state == stream_state::ended) {
      broke();
      return;
    }
    if (put.state == stream_state::blocked) {
      if (!write_is_registered_) {
        write_is_registered_ = true;
        writing_self_.reset(this);
        backend().add(operation::write, event_handler::fd(), this);
      }
      count_unsent();
      return;
    }
    unsent_.drop_front(put.bytes);
    last_written_ = std::chrono::steady_clock::now();
  }
  count_unsent();
  if (write_is_registered_)
    backend().del(operation::write, event_handler::fd(), this);
  if (is_closing_)
    stream_.finish();
  if (is_paused_)
    table_->reconsider_paused(); // not this one alone: others may have waited longer for room
}

void connection::count_unsent() { account_->set_unsent(unsent_.size_bytes()); }

// --- limits ---

/// Whether the frame came too slowly to end in time, as of now: a large one has room of which others may be
/// in need.
bool connection::is_behind(steady_time now) const {
  const auto& limits = table_->limits();
  const auto elapsed = now - frame_begun_;
  if (elapsed <= limits.frame_grace)
    return false;
  const auto share = std::chrono::duration<double>(elapsed - limits.frame_grace)
                     / std::chrono::duration<double>(limits.frame_limit);
  return static_cast<double>(payload_filled_) < share * static_cast<double>(header_.payload_bytes);
}

void connection::sweep(steady_time now, bool is_room_scarce) {
  const auto& limits = table_->limits();
  const auto has_unsent = account_->unsent_bytes() != 0;
  if (is_closing_) {
    if (has_unsent && now - closing_since_ > closing_limit)
      close_now("its last answers are not taken");
    return;
  }
  if (!has_unsent)
    last_written_ = now;
  if (role_ == frame_role::server && !is_paused_) {
    const auto is_mid_frame = header_filled_ != 0;
    if (!is_greeted() && now - opened_ > limits.handshake_limit)
      return close_now("no handshake in time");
    if (is_mid_frame && now - frame_begun_ > limits.frame_limit)
      return close_now("a frame does not end");
    if (is_mid_frame && charge_ && is_room_scarce && is_behind(now))
      return close_now("a frame comes slowly, and others wait for its room");
    if (!is_mid_frame && !has_unsent && account_->held_bytes() == 0 && now - last_read_ > limits.idle_limit)
      return close_now("idle for too long");
  }
  if (has_unsent && now - last_written_ > limits.stall_limit)
    return close_now("it does not take what is sent");
  unsent_.rest();
}

std::string connection::addr() const {
  auto address = caf::io::network::remote_addr_of_fd(event_handler::fd());
  return address ? std::move(*address) : std::string{};
}

std::uint16_t connection::port() const {
  const auto port = caf::io::network::remote_port_of_fd(event_handler::fd());
  return port ? *port : std::uint16_t{0};
}

} // namespace cairn
