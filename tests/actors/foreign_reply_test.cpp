/// A link and replies that belong to somebody else's request.

#include "tests/actors/link_fixture.hpp"

namespace cairn {
namespace {

class ForeignReplyTest : public link_fixture {};

TEST_F(ForeignReplyTest, CutsTheConnectionAndIsHandedToNobody) {
  start_link();
  node.answers = false;
  const auto asked = ask<status_reply>(link, numbered<get_status>(5));
  const auto beside = ask<status_reply>(link, numbered<get_status>(6));
  run();
  ASSERT_EQ(node.held.size(), 2U);
  release(node, node_handle); // with message_id 0
  for (const auto& out : {asked, beside}) {
    EXPECT_FALSE(out->reply);
    ASSERT_TRUE(out->error);
    EXPECT_TRUE(*out->error == link_errc::connection_lost);
  }
  EXPECT_EQ(network.cuts.size(), 1U);
  ASSERT_EQ(events.size(), 2U);
  EXPECT_EQ(events.back(), "lost 2 a reply to another request came");
}

} // namespace
} // namespace cairn
