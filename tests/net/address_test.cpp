/// Addresses that people write, and which of them only this machine reaches.

#include "net/address.hpp"

#include <gtest/gtest.h>

namespace cairn {

TEST(AddressTest, ReadsWhatItWrites) {
  for (const auto* text : {"127.0.0.1:4160", "node-1.example.org:65535", "localhost:0", "[::1]:80"}) {
    const auto address = parse_address(text);
    ASSERT_TRUE(address) << address.error().message;
    EXPECT_EQ(to_string(*address), text);
  }
  EXPECT_EQ(parse_address("[::1]:80")->host, "::1");
}

TEST(AddressTest, RefusesWhatIsNone) {
  for (const auto* text : {"", ":", ":5", "host", "host:", "host:x", "host:65536", "host:-1", "::1:5", "[]:5",
                           "[[]]:5", "[::1:5", "::1]:5", "a[b:5", "[::1]:5 "})
    EXPECT_FALSE(parse_address(text)) << text;
}

TEST(AddressTest, OnlyNumbersAreTrustedToBeLoopback) {
  for (const auto* host : {"localhost", "::1", "127.0.0.1", "127.255.1.2"})
    EXPECT_TRUE(is_loopback(host)) << host;
  for (const auto* host :
       {"", "0.0.0.0", "::", "10.0.0.1", "128.0.0.1", "127.example.org", "127.1", "localhost.example.org"})
    EXPECT_FALSE(is_loopback(host)) << host;
}

} // namespace cairn
