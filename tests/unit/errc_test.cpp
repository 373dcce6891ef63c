/// Every result code has a name and says whether the request can still take effect.

#include "core/errc.hpp"

#include <set>
#include <string>

#include <gtest/gtest.h>

namespace cairn {

namespace {

struct expected_code {
  errc code;
  std::string_view name;
  bool definite;
};

constexpr expected_code all_codes[] = {
  {errc::success, "success", true},
  {errc::size_mismatch, "size_mismatch", true},
  {errc::md5_mismatch, "md5_mismatch", true},
  {errc::adler32_mismatch, "adler32_mismatch", true},
  {errc::invalid_message, "invalid_message", true},
  {errc::unknown_node, "unknown_node", true},
  {errc::unknown_segment, "unknown_segment", true},
  {errc::duplicate_segment, "duplicate_segment", true},
  {errc::sequence_out_of_order, "sequence_out_of_order", true},
  {errc::cancelled, "cancelled", true},
  {errc::no_space, "no_space", true},
  {errc::storage_error, "storage_error", true},
  {errc::database_unavailable, "database_unavailable", false},
  {errc::busy, "busy", true},
  {errc::shutting_down, "shutting_down", true},
  {errc::not_found, "not_found", true},
  {errc::damaged, "damaged", true},
  {errc::version_mismatch, "version_mismatch", true},
  {errc::timed_out, "timed_out", false},
  {errc::conflict, "conflict", true},
  {errc::internal_error, "internal_error", false},
  {errc::not_allowed, "not_allowed", true},
};

result<int> failing() { return fail(errc::busy, "wait"); }

result<std::string> passing_on() {
  auto number = failing();
  return number ? result<std::string>(std::to_string(*number)) : pass_failure(number);
}

} // namespace

TEST(ErrcTest, EachCodeHasItsName) {
  for (const auto& expected : all_codes)
    EXPECT_EQ(to_string(expected.code), expected.name);
}

TEST(ErrcTest, EachCodeIsDefiniteOrUnknown) {
  for (const auto& expected : all_codes)
    EXPECT_EQ(is_definite(expected.code), expected.definite) << expected.name;
}

TEST(ErrcTest, TheTableOfThisTestIsComplete) {
  std::set<errc> listed;
  for (const auto& expected : all_codes)
    listed.insert(expected.code);
  for (int value = 0; value < 256; ++value) {
    const auto code = static_cast<errc>(value);
    EXPECT_EQ(listed.contains(code), to_string(code) != "unknown_code") << value;
  }
}

TEST(ErrcTest, NumbersOnTheWireStayAsTheyAre) {
  int number = 0;
  for (const auto& expected : all_codes)
    EXPECT_EQ(static_cast<int>(expected.code), number++) << expected.name;
}

TEST(ErrcTest, PassedOnFailureKeepsCodeAndText) {
  const auto outcome = passing_on();
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, errc::busy);
  EXPECT_EQ(outcome.error().message, "wait");
}

} // namespace cairn
