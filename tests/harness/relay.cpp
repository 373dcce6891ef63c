#include "tests/harness/relay.hpp"

#include <array>
#include <cerrno>
#include <cstring>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

namespace cairn::harness {

namespace {

constexpr std::size_t buffer_bytes = 256U << 10U;
constexpr int backlog = 512;

[[noreturn]] void give_up(const std::string& call) {
  throw harness_error(fmt::format("relay: {}: {}", call, std::strerror(errno)));
}

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

posix::unique_fd new_socket() {
  return posix::unique_fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

/// Several sockets may be bound to one port as long as one of them at most listens.
posix::unique_fd socket_bound_to(std::uint16_t port) {
  auto bound = new_socket();
  const int on = 1;
  const auto address = loopback(port);
  if (!bound.valid() || ::setsockopt(bound.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0
      || ::bind(bound.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    give_up("bind");
  return bound;
}

std::uint16_t port_of(const posix::unique_fd& bound) {
  sockaddr_in address{};
  socklen_t length = sizeof address;
  if (::getsockname(bound.get(), reinterpret_cast<sockaddr*>(&address), &length) != 0)
    give_up("getsockname");
  return ntohs(address.sin_port);
}

void reset_on_close(const posix::unique_fd& socket, bool is_on) {
  const linger at_once{is_on ? 1 : 0, 0};
  ::setsockopt(socket.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

void prepare(const posix::unique_fd& socket) {
  const int on = 1;
  ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  // Whoever is at the other end of a cut connection hears of it at once.
  reset_on_close(socket, true);
}

} // namespace

/// Two sockets and what is on its way between them.
class relay::connection {
public:
  connection(posix::unique_fd client, posix::unique_fd server) {
    sides_[0].socket = std::move(client);
    sides_[1].socket = std::move(server);
    for (auto& each : sides_)
      prepare(each.socket);
  }

  void watch(std::vector<pollfd>& into) const {
    for (std::size_t i = 0; i < 2; ++i) {
      short events = 0;
      if (sides_[i].is_readable())
        events |= POLLIN;
      if (sides_[1 - i].has_output())
        events |= POLLOUT;
      // Without events a hang-up would be told again and again, so a side that is done is not watched.
      into.push_back({events != 0 ? sides_[i].socket.get() : -1, events, 0});
    }
  }

  /// @returns false when the connection has ended
  bool pump() {
    if (!move(sides_[0], sides_[1]) || !move(sides_[1], sides_[0]))
      return false;
    if (!sides_[0].told_other || !sides_[1].told_other)
      return true;
    for (auto& each : sides_)
      reset_on_close(each.socket, false); // an orderly end: what the kernel still holds arrives
    return false;
  }

private:
  struct side {
    posix::unique_fd socket;
    std::vector<char> buffer = std::vector<char>(buffer_bytes); ///< read here, not written to the other yet
    std::size_t begin = 0;
    std::size_t end = 0;
    bool at_end = false;     ///< nothing more comes from here
    bool told_other = false; ///< and the other side knows

    [[nodiscard]] bool has_output() const { return begin < end || (at_end && !told_other); }
    [[nodiscard]] bool is_readable() const { return begin == end && !at_end; }
  };

  /// @returns false on an error other than "not now"
  static bool move(side& from, side& to) {
    if (from.is_readable()) {
      const auto got = ::recv(from.socket.get(), from.buffer.data(), from.buffer.size(), 0);
      if (got < 0)
        return is_transient();
      from.begin = 0;
      from.end = static_cast<std::size_t>(got);
      from.at_end = got == 0;
    }
    while (from.begin < from.end) {
      const auto put =
        ::send(to.socket.get(), from.buffer.data() + from.begin, from.end - from.begin, MSG_NOSIGNAL);
      if (put < 0)
        return is_transient();
      from.begin += static_cast<std::size_t>(put);
    }
    if (from.at_end && !from.told_other) {
      if (::shutdown(to.socket.get(), SHUT_WR) != 0 && errno != ENOTCONN)
        return false;
      from.told_other = true;
    }
    return true;
  }
  static bool is_transient() { return errno == EAGAIN || errno == EINTR; }

  std::array<side, 2> sides_;
};

relay::relay() : reservation_(socket_bound_to(0)), wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!wake_.valid())
    give_up("eventfd");
  address_ = {"127.0.0.1", port_of(reservation_)};
  thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
  heal(); // it listens when this returns
}

relay::~relay() = default;

void relay::forward_to(std::uint16_t port) {
  const std::scoped_lock lock(mutex_);
  target_port_ = port;
}

void relay::cut() { change(mode::cut); }
void relay::stall() { change(mode::stalled); }
void relay::heal() { change(mode::open); }

void relay::change(mode to) {
  std::unique_lock lock(mutex_);
  wanted_ = to;
  const auto mine = ++changes_asked_;
  ::eventfd_write(wake_.get(), 1);
  applied_.wait(lock, [&] { return changes_done_ >= mine; });
  if (!problem_.empty())
    throw harness_error(std::exchange(problem_, {}));
}

void relay::run(const std::stop_token& stop) {
  const std::stop_callback wake(stop, [this] { ::eventfd_write(wake_.get(), 1); });
  while (!stop.stop_requested()) {
    std::vector<pollfd> watched{{wake_.get(), POLLIN, 0}, {listener_.get(), POLLIN, 0}};
    if (mode_ == mode::open)
      for (const auto& each : connections_)
        each->watch(watched);
    ::poll(watched.data(), watched.size(), -1);
    eventfd_t ignored = 0;
    ::eventfd_read(wake_.get(), &ignored);
    {
      const std::scoped_lock lock(mutex_);
      if (changes_done_ != changes_asked_) {
        try {
          apply(wanted_);
        } catch (const harness_error& error) {
          problem_ = error.what();
        }
        changes_done_ = changes_asked_;
        applied_.notify_all();
      }
    }
    if (listener_.valid())
      take_connections();
    if (mode_ == mode::open)
      std::erase_if(connections_, [](const auto& each) { return !each->pump(); });
    connection_count_ = connections_.size();
  }
}

void relay::apply(mode to) {
  mode_ = to;
  if (to == mode::cut) {
    listener_ = posix::unique_fd();
    connections_.clear();
    connection_count_ = 0;
  } else if (!listener_.valid()) {
    auto listener = socket_bound_to(address_.port);
    if (::listen(listener.get(), backlog) != 0)
      give_up("listen");
    listener_ = std::move(listener);
  }
}

void relay::take_connections() {
  for (;;) {
    posix::unique_fd client(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!client.valid())
      return;
    auto server = new_socket();
    const auto address = [this] {
      const std::scoped_lock lock(mutex_);
      return loopback(target_port_);
    }();
    prepare(client);
    if (!server.valid()
        || (::connect(server.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0
            && errno != EINPROGRESS))
      continue; // nobody listens there: the client is reset
    connections_.push_back(std::make_unique<connection>(std::move(client), std::move(server)));
  }
}

} // namespace cairn::harness
