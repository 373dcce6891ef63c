/// Who has which session and shard.

#include "actors/client_sessions.hpp"
#include "core/unified_id.hpp"
#include "tests/actors/actor_fixture.hpp"

#include <limits>
#include <set>

#include <gtest/gtest.h>

namespace cairn {
namespace {

class ClientSessionsTest : public actor_fixture {
protected:
  const client_session& join(client_sessions& sessions) {
    auto session = sessions.next();
    EXPECT_TRUE(session);
    session->reply = spawn(reply_stub, &inbox);
    return sessions.add(caf::actor_cast<caf::actor_addr>(spawn_client()), std::move(*session));
  }

  reply_inbox inbox;
};

TEST_F(ClientSessionsTest, NoTwoClientsCanMakeOneIdUntilThereAreTooMany) {
  client_sessions sessions(node_id{3}, 77);
  std::set<std::pair<std::int32_t, std::int32_t>> counters; // of a shard, all that any client may use
  std::set<std::uint64_t> clients;
  for (std::size_t i = 0; i < client_sessions::max_sessions; ++i) {
    const auto& session = join(sessions);
    ASSERT_TRUE(is_valid(session.ids));
    EXPECT_GE(session.ids.shard.value, 2 * 128) << "another node's";
    EXPECT_LT(session.ids.shard.value, 3 * 128) << "another node's";
    for (std::int32_t counter = 0; counter < session.ids.counter_count; ++counter)
      counters.insert({session.ids.shard.value, session.ids.first_counter + counter});
    clients.insert(session.client);
  }
  EXPECT_EQ(counters.size(), 128U * 1024U);
  EXPECT_EQ(clients.size(), client_sessions::max_sessions);

  EXPECT_FALSE(sessions.next());
  const auto freed = sessions.remove(sessions.begin()->first)->ids;
  EXPECT_EQ(join(sessions).ids, freed);
  EXPECT_FALSE(sessions.next());
}

TEST_F(ClientSessionsTest, LeaseIsNotGivenOutAgainRightAfterItsClientLeft) {
  client_sessions sessions(node_id{1}, 5);
  const auto first = join(sessions).ids;
  ASSERT_TRUE(sessions.remove(sessions.begin()->first));
  EXPECT_NE(join(sessions).ids, first);
}

TEST_F(ClientSessionsTest, LeasesAreValidWhateverTheNodeAndTheFirst) {
  client_sessions sessions(node_id{std::numeric_limits<std::int32_t>::max()},
                           std::numeric_limits<std::uint32_t>::max());
  for (int i = 0; i < 3; ++i)
    EXPECT_TRUE(is_valid(join(sessions).ids));
}

TEST_F(ClientSessionsTest, EndsWithItsClientOrItsReplyActorAndNoOther) {
  client_sessions sessions(node_id{1}, 0);
  join(sessions);
  join(sessions);
  const auto by_client = sessions.begin()->first;
  const auto number = sessions.begin()->second.client;
  const auto removed = sessions.remove(by_client);
  ASSERT_TRUE(removed);
  EXPECT_EQ(removed->client, number);
  EXPECT_FALSE(sessions.find(by_client));
  EXPECT_FALSE(sessions.remove(by_client));

  ASSERT_EQ(sessions.size(), 1U);
  EXPECT_TRUE(sessions.remove(sessions.begin()->second.reply.address()));
  EXPECT_EQ(sessions.size(), 0U);
}

} // namespace
} // namespace cairn
