#pragma once
/// Peers that do not keep to the protocol: a connection that says what it is told to, and frames of a process
/// that does not exist.

#include "net/endpoint.hpp"
#include "tests/support/plain_socket.hpp"

#include <array>
#include <random>
#include <string>
#include <vector>

#include <caf/binary_serializer.hpp>
#include <caf/io/basp/header.hpp>
#include <caf/message.hpp>
#include <caf/node_id.hpp>
#include <poll.h>
#include <sys/socket.h>

namespace cairn::harness {

/// A plain TCP connection.
class raw_peer {
public:
  /// @throws harness_error when nobody listens there
  explicit raw_peer(const host_port& to) : fd_(connect_plainly(to)) {}

  /// Sends all of it, or (to a peer that does not read) as much as goes until the deadline.
  /// @returns whether all went; false also when the other side has ended the connection
  bool send(const std::string& bytes, deadline until = soon()) {
    std::size_t sent = 0;
    while (is_open_ && sent < bytes.size()) {
      const auto put =
        ::send(fd_.get(), bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (put > 0) {
        sent += static_cast<std::size_t>(put);
        continue;
      }
      pollfd waiting{fd_.get(), POLLOUT, 0};
      if ((errno != EAGAIN && errno != EWOULDBLOCK) || ::poll(&waiting, 1, milliseconds_until(until)) < 1)
        is_open_ = false;
    }
    return sent == bytes.size();
  }

  /// Whether the other side has ended the connection. What it has sent is read and dropped.
  bool is_ended() {
    std::array<char, 4096> buffer{};
    while (is_open_) {
      const auto got = ::recv(fd_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
      if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return false;
      is_open_ = got > 0;
    }
    return true;
  }
  bool is_ended_within(std::chrono::milliseconds limit) {
    const auto until = std::chrono::steady_clock::now() + limit;
    pollfd waiting{fd_.get(), POLLIN, 0};
    while (!is_ended())
      if (::poll(&waiting, 1, milliseconds_until(until)) < 1)
        return false;
    return true;
  }

private:
  posix::unique_fd fd_;
  bool is_open_ = true;
};

/// Frames as CAF writes them.
class forger {
public:
  explicit forger(caf::actor_system& system) : system_(system) {
    std::array<std::uint8_t, 20> host{};
    for (auto& byte : host)
      byte = static_cast<std::uint8_t>(std::random_device{}());
    node_ = caf::make_node_id(1, host);
  }

  std::string handshake() {
    const auto payload = bytes_of(node_);
    return header(caf::io::basp::message_type::client_handshake, payload.size(), 0, 0) + payload;
  }

  /// A message of any number, of which CAF would make requests, answers and more.
  template <class Message>
  std::string numbered(std::uint64_t to_actor, std::uint64_t number, Message message) {
    const auto payload =
      bytes_of(std::vector<caf::strong_actor_ptr>{}, caf::make_message(std::move(message)));
    return bytes_of(caf::io::basp::header{caf::io::basp::message_type::direct_message, 0,
                                          static_cast<std::uint32_t>(payload.size()), number, own_actor,
                                          to_actor})
           + payload;
  }

  template <class Message>
  std::string request(std::uint64_t to_actor, Message message) {
    const auto payload =
      bytes_of(std::vector<caf::strong_actor_ptr>{}, caf::make_message(std::move(message)));
    return header(caf::io::basp::message_type::direct_message, payload.size(), own_actor, to_actor) + payload;
  }

  std::string header(caf::io::basp::message_type operation, std::size_t payload_bytes, std::uint64_t from,
                     std::uint64_t to) {
    const auto is_message = operation == caf::io::basp::message_type::direct_message;
    caf::io::basp::header written{
      operation,
      0,
      static_cast<std::uint32_t>(payload_bytes),
      is_message ? caf::make_message_id(++last_request_).request_id().integer_value() : 0,
      from,
      to};
    return bytes_of(written);
  }

private:
  static constexpr std::uint64_t own_actor = 77;

  template <class... Ts>
  std::string bytes_of(Ts&&... values) {
    std::vector<char> buffer;
    caf::binary_serializer out(system_, buffer);
    if (out(std::forward<Ts>(values)...))
      throw harness_error("a frame does not serialise");
    return {buffer.begin(), buffer.end()};
  }

  caf::actor_system& system_;
  caf::node_id node_;
  std::uint64_t last_request_ = 0;
};

} // namespace cairn::harness
