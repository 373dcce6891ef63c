#include "net/transport/listener.hpp"

#include <algorithm>

#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

namespace cairn {

namespace {

constexpr int backlog = SOMAXCONN;

std::uint16_t port_of(int socket) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size) != 0)
    return 0;
  return ntohs(address.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6&>(address).sin6_port
                                             : reinterpret_cast<sockaddr_in&>(address).sin_port);
}

/// @param is_absent set when it fails because this machine has no such address
result<posix::unique_fd> listen_at(const resolved_address& address, const std::string& name,
                                   bool& is_absent) {
  posix::unique_fd socket(::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const int on = 1;
  if (!socket.valid()) {
    is_absent = errno == EAFNOSUPPORT;
    return posix::fail_errno(name, "socket", errno);
  }
  ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (address.family() == AF_INET6)
    ::setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  if (::bind(socket.get(), address.get(), address.size()) != 0 || ::listen(socket.get(), backlog) != 0) {
    const auto error = errno;
    is_absent = error == EADDRNOTAVAIL || error == EAFNOSUPPORT;
    return error == EADDRINUSE
             ? fail(errc::conflict, fmt::format("cannot listen on {}: the port is in use", name))
             : fail(errc::storage_error,
                    fmt::format("cannot listen on {}: {}", name, std::generic_category().message(error)));
  }
  return socket;
}

} // namespace

result<std::vector<posix::unique_fd>> listen_at_all(std::vector<resolved_address> addresses,
                                                    const host_port& where) {
  std::vector<posix::unique_fd> sockets;
  result<posix::unique_fd> socket = fail(errc::not_found, "it has no address");
  auto port = where.port;
  for (auto& address : addresses) {
    address.set_port(port);
    const auto name = to_string(host_port{where.host, port});
    bool is_absent = false;
    socket = listen_at(address, name, is_absent);
    if (!socket && !is_absent)
      return pass_failure(socket);
    if (!socket) {
      spdlog::info("address_skipped listen={} family={} reason=\"{}\"", name,
                   address.family() == AF_INET6 ? "ipv6" : "ipv4", socket.error().message);
      continue;
    }
    port = port_of(socket->get()); // of a free port, the same for all addresses of the name
    sockets.push_back(std::move(*socket));
  }
  if (sockets.empty())
    return pass_failure(socket);
  return sockets;
}

result<std::unique_ptr<listener>>
listener::open(const host_port& where, std::shared_ptr<const tls_context> tls, peer_policy may_connect,
               std::shared_ptr<connection_table> table, on_connection take) {
  auto addresses = resolve(where);
  if (!addresses)
    return pass_failure(addresses);
  auto sockets = listen_at_all(std::move(*addresses), where);
  if (!sockets)
    return pass_failure(sockets);
  const auto port = port_of(sockets->front().get());
  return std::unique_ptr<listener>(new listener(std::move(*sockets), port, std::move(tls),
                                                std::move(may_connect), std::move(table), std::move(take)));
}

listener::listener(std::vector<posix::unique_fd> sockets, std::uint16_t port,
                   std::shared_ptr<const tls_context> tls, peer_policy may_connect,
                   std::shared_ptr<connection_table> table, on_connection take)
    : sockets_(std::move(sockets)), port_(port), may_connect_(std::move(may_connect)),
      table_(std::move(table)), take_(std::move(take)), stop_event_(::eventfd(0, EFD_CLOEXEC)),
      tls_(std::move(tls)), next_sweep_(std::chrono::steady_clock::now()) {
  thread_ = std::thread([this] { run(); });
}

listener::~listener() {
  const std::uint64_t once = 1;
  (void)::write(stop_event_.get(), &once, sizeof once);
  thread_.join();
}

void listener::use_tls(std::shared_ptr<const tls_context> tls) {
  const std::lock_guard lock(tls_mutex_);
  tls_ = std::move(tls);
}

std::shared_ptr<const tls_context> listener::tls() const {
  const std::lock_guard lock(tls_mutex_);
  return tls_;
}

void listener::run() {
  std::vector<pollfd> polled;
  for (;;) {
    polled.assign(1, {stop_event_.get(), POLLIN, 0});
    for (const auto& socket : sockets_)
      polled.push_back({is_out_of_descriptors_ ? -1 : socket.get(), POLLIN, 0});
    for (const auto& under_way : handshakes_)
      polled.push_back({under_way.socket.fd.get(), under_way.waits_for, 0});
    ::poll(polled.data(), polled.size(), static_cast<int>(table_->limits().sweep_interval.count()));
    if (polled[0].revents != 0)
      return;
    auto at = polled.begin() + 1 + static_cast<std::ptrdiff_t>(sockets_.size());
    for (auto each = handshakes_.begin(); each != handshakes_.end(); ++at)
      each = at->revents != 0 && !advance(*each) ? handshakes_.erase(each) : std::next(each);
    for (std::size_t i = 0; i < sockets_.size(); ++i)
      if (polled[1 + i].revents != 0)
        accept_all(sockets_[i].get());
    if (const auto now = std::chrono::steady_clock::now(); now >= next_sweep_)
      sweep(now);
  }
}

void listener::sweep(steady_time now) {
  next_sweep_ = now + table_->limits().sweep_interval;
  is_out_of_descriptors_ = false;
  std::erase_if(handshakes_, [&](const handshake& each) { return now > each.deadline; });
  table_->post([now](connection_table& table) { table.sweep(now); });
}

void listener::accept_all(int socket) {
  for (;;) {
    posix::unique_fd fd(::accept4(socket, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (fd.valid()) {
      accept_one(std::move(fd));
      continue;
    }
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      spdlog::warn("accept_failed reason=\"{}\" what=\"no connection is taken for a moment\"",
                   std::generic_category().message(errno));
      is_out_of_descriptors_ = true;
    }
    if (errno != EINTR && errno != ECONNABORTED)
      return;
  }
}

void listener::accept_one(posix::unique_fd fd) {
  if (table_->open_count() + handshakes_.size() >= table_->limits().max_connections) {
    make_room();
    return; // this one is refused: there is room for the next
  }
  const auto tls = this->tls();
  if (!tls) {
    take_({std::move(fd), nullptr, {}});
    return;
  }
  auto session = tls->accept_session(fd.get());
  if (!session)
    return;
  if (handshakes_.size() >= table_->limits().max_handshakes)
    handshakes_.pop_front();
  handshakes_.push_back({{std::move(fd), std::move(session), {}},
                         std::chrono::steady_clock::now() + table_->limits().handshake_limit,
                         POLLIN});
}

void listener::make_room() {
  if (!handshakes_.empty())
    handshakes_.pop_front();
  else
    table_->post([](connection_table& table) { table.evict_one(); });
}

/// @returns false when the handshake is over, well or not
bool listener::advance(handshake& under_way) {
  auto* session = under_way.socket.session.get();
  ERR_clear_error();
  const auto done = SSL_accept(session);
  if (done == 1) {
    const auto names = peer_names(*session);
    if (may_connect_ && !may_connect_(names)) {
      spdlog::warn(
        "peer_refused names=\"{}\" reason=\"not a node of the cluster, nor a peer that is allowed\"",
        fmt::join(names, " "));
      return false;
    }
    under_way.socket.peer_name = names.empty() ? std::string{} : names.back();
    take_(std::move(under_way.socket));
    return false;
  }
  const auto why = SSL_get_error(session, done);
  if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE) {
    spdlog::debug("handshake_failed reason=\"{}\"", tls_error_text(session));
    return false;
  }
  under_way.waits_for = why == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT;
  return true;
}

} // namespace cairn
