/// Payloads share one buffer and show ranges of it.

#include "core/payload.hpp"

#include <limits>
#include <string_view>

#include <gtest/gtest.h>

namespace cairn {

namespace {

payload payload_of(std::string_view text) { return payload::copy_of(std::as_bytes(std::span(text))); }

std::string_view text_of(const payload& p) {
  return {reinterpret_cast<const char*>(p.bytes().data()), p.size()};
}

} // namespace

TEST(PayloadTest, CopyHoldsTheBytes) { EXPECT_EQ(text_of(payload_of("cairn")), "cairn"); }

TEST(PayloadTest, NothingIsEmpty) {
  EXPECT_TRUE(payload{}.empty());
  EXPECT_TRUE(payload_of("").empty());
  EXPECT_TRUE(payload{}.slice(0, 0).empty());
}

TEST(PayloadTest, SliceOutlivesTheWhole) {
  auto whole = payload_of("a storage node");
  const auto part = whole.slice(2, 7);
  EXPECT_EQ(part.bytes().data(), whole.bytes().data() + 2);
  whole = payload{};
  EXPECT_EQ(text_of(part), "storage");
  EXPECT_EQ(text_of(part.slice(3, 4)), "rage");
  EXPECT_TRUE(part.slice(7, 0).empty());
}

TEST(PayloadDeathTest, SliceOutsideTheWholeEndsTheProgram) {
  const auto whole = payload_of("cairn");
  EXPECT_DEATH((void)whole.slice(6, 0), "");
  EXPECT_DEATH((void)whole.slice(1, 5), "");
  EXPECT_DEATH((void)whole.slice(1, std::numeric_limits<std::size_t>::max()), "");
}

} // namespace cairn
