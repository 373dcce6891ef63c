/// A host name with several addresses, of which not all work; and node ids, which must not depend on the
/// machine.

#include "net/system_config.hpp"
#include "net/transport/dial.hpp"
#include "net/transport/listener.hpp"

#include <arpa/inet.h>
#include <caf/actor_system.hpp>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

namespace cairn {
namespace {

using namespace std::chrono_literals;

resolved_address ipv4(const char* host, std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  ::inet_pton(AF_INET, host, &address.sin_addr);
  return {reinterpret_cast<const sockaddr*>(&address), sizeof address};
}

std::uint16_t port_of(const posix::unique_fd& socket) {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  ::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.sin_port);
}

posix::unique_fd listening(int backlog) {
  posix::unique_fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const auto address = ipv4("127.0.0.1", 0);
  EXPECT_EQ(::bind(socket.get(), address.get(), address.size()), 0);
  EXPECT_EQ(::listen(socket.get(), backlog), 0);
  return socket;
}

/// An address that answers nothing at all: a port whose queue is full, where Linux drops what comes.
class black_hole {
public:
  black_hole() {
    for (int i = 0; i < 64; ++i) {
      auto& filling = filling_.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
      const auto to = address();
      ::connect(filling.get(), to.get(), to.size());
      pollfd waiting{filling.get(), POLLOUT, 0};
      if (::poll(&waiting, 1, 200) == 0)
        return;
    }
    ADD_FAILURE() << "the port still answers";
  }
  [[nodiscard]] resolved_address address() const { return ipv4("127.0.0.1", port_of(socket_)); }

private:
  posix::unique_fd socket_ = listening(0);
  std::vector<posix::unique_fd> filling_;
};

TEST(ManyAddressesTest, OneThatDoesNotAnswerLeavesTimeForTheNext) {
  const black_hole first;
  const auto second = listening(8);
  const auto fd = connect_to_any({first.address(), ipv4("127.0.0.1", port_of(second))},
                                 std::chrono::steady_clock::now() + 2s);
  EXPECT_TRUE(fd) << fd.error().message;
}

TEST(ManyAddressesTest, ConnectingEndsInTimeWhenNoneAnswers) {
  const black_hole nobody;
  const auto begun = std::chrono::steady_clock::now();
  const auto fd = connect_to_any({nobody.address(), nobody.address(), nobody.address()}, begun + 300ms);
  ASSERT_FALSE(fd);
  EXPECT_EQ(fd.error().code, errc::timed_out);
  EXPECT_GE(std::chrono::steady_clock::now() - begun, 250ms) << "the last has the time that is left";
}

/// 203.0.113.0/24 is nobody's (RFC 5737).
TEST(ManyAddressesTest, ListensWhereItCanWhenAnAddressIsNotThere) {
  const auto absent = ipv4("203.0.113.1", 0);
  for (const auto& addresses :
       {std::vector{absent, ipv4("127.0.0.1", 0)}, std::vector{ipv4("127.0.0.1", 0), absent}}) {
    const auto sockets = listen_at_all(addresses, {"localhost", 0});
    ASSERT_TRUE(sockets) << sockets.error().message;
    EXPECT_EQ(sockets->size(), 1U);
    EXPECT_NE(port_of(sockets->front()), 0);
  }
}

TEST(ManyAddressesTest, ListensNowhereWhenNoAddressIsThere) {
  const auto sockets = listen_at_all({ipv4("203.0.113.1", 0), ipv4("203.0.113.2", 0)}, {"elsewhere", 0});
  ASSERT_FALSE(sockets);
  EXPECT_EQ(sockets.error().code, errc::storage_error);
}

TEST(ManyAddressesTest, APortInUseIsAConflictThoughAnotherAddressWorks) {
  const auto taken = listening(1);
  const auto port = port_of(taken);
  const auto sockets = listen_at_all({ipv4("127.0.0.2", port), ipv4("127.0.0.1", port)}, {"localhost", port});
  ASSERT_FALSE(sockets);
  EXPECT_EQ(sockets.error().code, errc::conflict);
}

/// CAF's own id: machine, a counter in the last byte, "#" and the process number.
TEST(NodeIdTest, IsNoOtherSystemsAndTellsTheProcess) {
  system_config config;
  system_config config_of_other;
  const caf::actor_system system(config);
  const caf::actor_system other(config_of_other);
  const auto by_caf = caf::node_id::default_data::local(config);
  EXPECT_NE(system.node(), other.node());
  EXPECT_NE(system.node(), by_caf);
  EXPECT_EQ(process_on_this_machine(system.node()), ::getpid());
  EXPECT_EQ(process_on_this_machine(other.node()), ::getpid());
  EXPECT_EQ(process_on_this_machine(by_caf), 0);
  EXPECT_EQ(process_on_this_machine({}), 0);
}

/// Handles say it, too: a reply finds its way by them.
TEST(NodeIdTest, IsThatOfTheSystemsActors) {
  system_config config;
  caf::actor_system system(config);
  EXPECT_EQ(system.spawn_serv()->node(), system.node());
  EXPECT_EQ(system.middleman().actor_handle()->node(), system.node());
}

} // namespace
} // namespace cairn
