/// The harness's network: what a client sees when it is cut, stalled and healed.

#include "tests/harness/relay.hpp"

#include <array>
#include <cerrno>
#include <string>

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

namespace cairn {
namespace {

using namespace harness;

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

/// @returns an errno, 0 when connected
int connect_to(std::uint16_t port, posix::unique_fd& into) {
  into = posix::unique_fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const auto address = loopback(port);
  return ::connect(into.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ? 0 : errno;
}

bool is_readable(const posix::unique_fd& socket, int timeout_ms) {
  pollfd waiting{socket.get(), POLLIN, 0};
  return ::poll(&waiting, 1, timeout_ms) == 1;
}

void put(const posix::unique_fd& socket, const std::string& text) {
  ASSERT_EQ(::send(socket.get(), text.data(), text.size(), MSG_NOSIGNAL), std::ssize(text));
}

/// So many bytes, or what came before the end.
std::string take(const posix::unique_fd& socket, std::size_t count) {
  std::string text;
  std::array<char, 65'536> buffer;
  while (text.size() < count && is_readable(socket, milliseconds_until(soon()))) {
    const auto got = ::recv(socket.get(), buffer.data(), std::min(buffer.size(), count - text.size()), 0);
    if (got <= 0)
      break;
    text.append(buffer.data(), static_cast<std::size_t>(got));
  }
  return text;
}

/// A server of one connection, by hand, behind a relay.
class RelayTest : public testing::Test {
protected:
  void SetUp() override {
    const auto any = loopback(0);
    sockaddr_in address{};
    socklen_t length = sizeof address;
    ASSERT_EQ(::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&any), sizeof any), 0);
    ASSERT_EQ(::listen(listener_.get(), 8), 0);
    ASSERT_EQ(::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &length), 0);
    relay_.forward_to(ntohs(address.sin_port));
  }

  [[nodiscard]] int connect() { return connect_to(relay_.address().port, client_); }
  void connect_both() {
    ASSERT_EQ(connect(), 0);
    server_ = posix::unique_fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    ASSERT_TRUE(server_.valid());
  }

  posix::unique_fd listener_{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  relay relay_;
  posix::unique_fd client_;
  posix::unique_fd server_;
};

TEST_F(RelayTest, ForwardsBothWaysAndPassesTheEndOn) {
  connect_both();
  put(client_, "question");
  EXPECT_EQ(take(server_, 8), "question");
  put(server_, "answer");
  EXPECT_EQ(take(client_, 6), "answer");
  ::shutdown(client_.get(), SHUT_WR);
  EXPECT_EQ(take(server_, 1), "") << "the end";
  put(server_, "last words"); // the other direction is open still
  EXPECT_EQ(take(client_, 10), "last words");
}

TEST_F(RelayTest, LosesNothingOfAConnectionThatEndsInOrder) {
  connect_both();
  const std::string much(8U << 20U, 'x');
  std::jthread writer([&] {
    put(client_, much);
    client_ = posix::unique_fd();
  });
  const auto got = take(server_, much.size() + 1);
  EXPECT_EQ(got.size(), much.size());
}

TEST_F(RelayTest, CutResetsAndRefusesUntilItIsHealed) {
  connect_both();
  relay_.cut();
  char byte = 0;
  EXPECT_TRUE(is_readable(client_, milliseconds_until(soon())));
  EXPECT_LT(::recv(client_.get(), &byte, 1, 0), 0);
  EXPECT_EQ(errno, ECONNRESET);
  EXPECT_TRUE(is_readable(server_, milliseconds_until(soon())));
  EXPECT_LT(::recv(server_.get(), &byte, 1, 0), 0);
  EXPECT_EQ(connect(), ECONNREFUSED);
  relay_.heal();
  connect_both();
  put(client_, "again");
  EXPECT_EQ(take(server_, 5), "again");
}

TEST_F(RelayTest, StalledBytesArriveWhenItIsHealed) {
  connect_both();
  put(client_, "one");
  EXPECT_EQ(take(server_, 3), "one");
  relay_.stall();
  put(client_, "two");
  EXPECT_FALSE(is_readable(server_, 100)) << "nothing may pass"; // what does not come cannot be waited for
  relay_.heal();
  EXPECT_EQ(take(server_, 3), "two");
}

TEST_F(RelayTest, ClientOfAServerThatIsGoneIsReset) {
  listener_ = posix::unique_fd();
  ASSERT_EQ(connect(), 0);
  EXPECT_EQ(take(client_, 1), "");
}

} // namespace
} // namespace cairn
