/// Deletes, conjoined archives, cancels, gateway starts, handoffs, nodes: what becomes of a version.

#include "core/clock.hpp"
#include "tests/harness/archives.hpp"
#include "tests/harness/local_node.hpp"

#include <algorithm>
#include <functional>
#include <numeric>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

namespace cairn {
namespace {

using namespace harness;

class ProtocolTest : public testing::Test {
protected:
  static void SetUpTestSuite() {
    spdlog::set_level(spdlog::level::warn);
    directory_ = std::make_unique<scratch_directory>();
    node_ = std::make_unique<local_node>(settings_in(*directory_ / "node"));
    ASSERT_EQ(node_->start().result, errc::success) << node_->start().error_message;
    auto client = node_->attach();
    ASSERT_EQ(ask<archive_reply>(*client, add_node{{}, node_id{2}, "away", "10.0.0.2", 4160}).result,
              errc::success);
  }
  static void TearDownTestSuite() {
    node_.reset();
    directory_.reset();
  }

  sample_object stored(const std::string& key) {
    auto object = make_object(*client_, key, {500});
    EXPECT_EQ(archive(*client_, object).result, errc::success);
    return object;
  }
  archive_reply destroy(const std::string& key, unified_id version, unified_id deletes = {},
                        const std::string& handoff = {}) {
    return ask<archive_reply>(*client_, destroy_key{{},
                                                    collection_id{1},
                                                    key,
                                                    version,
                                                    deletes,
                                                    timestamp_us{1'700'000'000'000'000},
                                                    1,
                                                    {client_->node().node, handoff}});
  }
  template <conjoined_action Action>
  errc conjoined(const std::string& key, unified_id version) {
    return ask<archive_reply>(*client_,
                              conjoined_step<Action>{{}, collection_id{1}, key, version, now_us(), {}})
      .result;
  }
  std::vector<unified_id> versions(const std::string& key) {
    const auto listed = ask<list_reply>(*client_, list_versions{{}, collection_id{1}, key, {}, {}, 1'000});
    EXPECT_EQ(listed.result, errc::success) << listed.error_message;
    std::vector<unified_id> out;
    for (const auto& entry : listed.keys)
      out.push_back(entry.version);
    return out;
  }
  errc cancel(const sample_object& object) {
    return ask<archive_reply>(*client_, archive_key_cancel{{}, object.key()}).result;
  }

  std::unique_ptr<client> client_ = node_->attach();

private:
  static inline std::unique_ptr<scratch_directory> directory_;
  static inline std::unique_ptr<local_node> node_;
};

TEST_F(ProtocolTest, TombstoneHidesEveryOlderVersionOrTheNamedOneAlone) {
  const auto first = stored("del");
  const auto second = stored("del");
  const auto third = stored("del");
  const auto one = destroy("del", client_->next_unified_id(), second.segment.version);
  EXPECT_EQ(one.result, errc::success) << one.error_message;
  EXPECT_EQ(versions("del"), (std::vector{third.segment.version, first.segment.version}));
  const auto tombstone = client_->next_unified_id();
  const auto all = destroy("del", tombstone);
  EXPECT_EQ(all.version, tombstone);
  EXPECT_TRUE(versions("del").empty());
  EXPECT_EQ(look_up(*client_, "del").result, errc::not_found);
  EXPECT_TRUE(look_up(*client_, "del", tombstone).is_tombstone);
  const auto later = stored("del");
  EXPECT_EQ(versions("del"), std::vector{later.segment.version});
  EXPECT_EQ(destroy("del", tombstone).result, errc::success) << "a repeat succeeds";
  EXPECT_EQ(destroy("del", tombstone, first.segment.version).result, errc::duplicate_segment);
}

TEST_F(ProtocolTest, ConjoinedVersionIsVisibleWhenCompleteAndNotAborted) {
  for (const auto abort_first : {false, true}) {
    const auto key = fmt::format("conjoined/{}", abort_first);
    auto object = make_object(*client_, key, {700});
    object.segment.conjoined_part = 1;
    EXPECT_EQ(conjoined<conjoined_action::start>(key, object.segment.version), errc::success);
    ASSERT_EQ(archive(*client_, object).result, errc::success);
    EXPECT_TRUE(versions(key).empty());
    if (abort_first) {
      EXPECT_EQ(conjoined<conjoined_action::abort>(key, object.segment.version), errc::success);
    }
    EXPECT_EQ(conjoined<conjoined_action::finish>(key, object.segment.version), errc::success);
    EXPECT_EQ(versions(key).size(), abort_first ? 0U : 1U);
    EXPECT_EQ(conjoined<conjoined_action::abort>(key, object.segment.version), errc::success);
    EXPECT_TRUE(versions(key).empty()) << "abort wins over complete, whenever it comes";
  }
}

TEST_F(ProtocolTest, OrderOfArrivalDoesNotMatter) {
  std::vector<int> order(6);
  std::iota(order.begin(), order.end(), 0);
  int permutation = 0;
  do {
    const auto key = fmt::format("order/{:03}/", permutation++);
    const auto old_one = make_object(*client_, key, {10});
    const auto doomed = make_object(*client_, key, {20});
    const auto tombstone = client_->next_unified_id();
    auto part = make_object(*client_, key, {30});
    part.segment.conjoined_part = 1;
    const auto newest = make_object(*client_, key, {40});
    const std::function<errc()> steps[] = {
      [&] { return archive(*client_, old_one).result; },
      [&] { return archive(*client_, newest).result; },
      [&] { return destroy(key, tombstone).result; },
      [&] { return archive(*client_, part).result; },
      [&] { return conjoined<conjoined_action::finish>(key, part.segment.version); },
      [&] { return destroy(key, doomed.segment.version, newest.segment.version).result; },
    };
    for (const auto step : order)
      ASSERT_EQ(steps[step](), errc::success);
    ASSERT_EQ(versions(key), std::vector{part.segment.version}) << key;
  } while (std::next_permutation(order.begin(), order.end()) && permutation < 720);
  EXPECT_EQ(permutation, 720);
}

TEST_F(ProtocolTest, OrderOfArrivalOfConjoinedRowsDoesNotMatter) {
  std::vector<int> order(6);
  std::iota(order.begin(), order.end(), 0);
  int permutation = 0;
  do {
    const auto key = fmt::format("order-conjoined/{:03}/", permutation++);
    const auto tombstone = client_->next_unified_id();
    const auto part_of_new_version = [&](std::size_t size) {
      auto part = make_object(*client_, key, {size});
      part.segment.conjoined_part = 1;
      return part;
    };
    const auto complete = part_of_new_version(10);
    const auto aborted = part_of_new_version(20);
    const std::function<errc()> steps[] = {
      [&] { return archive(*client_, complete).result; },
      [&] { return archive(*client_, aborted).result; },
      [&] { return conjoined<conjoined_action::finish>(key, complete.segment.version); },
      [&] { return conjoined<conjoined_action::finish>(key, aborted.segment.version); },
      [&] { return conjoined<conjoined_action::abort>(key, aborted.segment.version); },
      [&] { return destroy(key, tombstone).result; },
    };
    for (const auto step : order)
      ASSERT_EQ(steps[step](), errc::success);
    ASSERT_EQ(versions(key), std::vector{complete.segment.version}) << key;
    ASSERT_EQ(look_up(*client_, key).version, complete.segment.version) << key;
  } while (std::next_permutation(order.begin(), order.end()));
  EXPECT_EQ(permutation, 720);
}

TEST_F(ProtocolTest, ConjoinedRowOfAnotherKeyMakesNothingVisible) {
  auto part = make_object(*client_, "conjoined/mine", {700});
  part.segment.conjoined_part = 1;
  ASSERT_EQ(archive(*client_, part).result, errc::success);
  ASSERT_EQ(conjoined<conjoined_action::finish>("conjoined/other", part.segment.version), errc::success);
  EXPECT_TRUE(versions("conjoined/mine").empty());
}

TEST_F(ProtocolTest, CancelWorksInEveryState) {
  const auto unknown = make_object(*client_, "cancel/unknown", {10, 20});
  EXPECT_EQ(cancel(unknown), errc::success);
  EXPECT_EQ(cancel(unknown), errc::success);
  EXPECT_EQ(ask<archive_reply>(*client_, start_of(unknown)).result, errc::cancelled) << "the key is fenced";

  const auto active = make_object(*client_, "cancel/active", {10, 20});
  EXPECT_EQ(ask<archive_reply>(*client_, start_of(active)).result, errc::success);
  EXPECT_EQ(cancel(active), errc::success);
  EXPECT_EQ(ask<archive_reply>(*client_, final_of(active)).result, errc::cancelled);

  const auto final = stored("cancel/final");
  EXPECT_EQ(cancel(final), errc::success);
  EXPECT_TRUE(versions("cancel/final").empty());
  EXPECT_EQ(archive(*client_, final).result, errc::cancelled);
}

TEST_F(ProtocolTest, CancelBehindAFinalOvertakesIt) {
  for (int i = 0; i < 50; ++i) {
    const auto object = make_object(*client_, fmt::format("overtaken/{}", i), {100});
    auto final = client_->send<archive_reply>(entire_of(object));
    auto cancelled = client_->send<archive_reply>(archive_key_cancel{{}, object.key()});
    const auto answer = final();
    ASSERT_TRUE(answer);
    EXPECT_TRUE(answer->result == errc::cancelled || answer->result == errc::success)
      << answer->error_message;
    EXPECT_EQ(cancelled()->result, errc::success);
    EXPECT_TRUE(versions(object.segment.key).empty());
  }
}

TEST_F(ProtocolTest, GatewayStartCancelsItsEarlierActiveSegmentsForGood) {
  const auto active = make_object(*client_, "gateway/active", {10, 20});
  const auto other = [&] {
    auto object = make_object(*client_, "gateway/other", {10, 20});
    object.source = "away";
    return object;
  }();
  EXPECT_EQ(ask<archive_reply>(*client_, start_of(active)).result, errc::success);
  EXPECT_EQ(ask<archive_reply>(*client_, start_of(other)).result, errc::success);
  const auto begun = ask<archive_reply>(
    *client_,
    gateway_start{{}, client_->next_unified_id(), timestamp_us{now_us().value + 1}, client_->node().node});
  EXPECT_EQ(begun.result, errc::success) << begun.error_message;
  EXPECT_EQ(begun.count, 1);
  EXPECT_EQ(ask<archive_reply>(*client_, final_of(active)).result, errc::cancelled);
  EXPECT_EQ(ask<archive_reply>(*client_, final_of(other)).result, errc::success) << "it goes on";
  EXPECT_EQ(ask<archive_reply>(*client_, gateway_start{{}, unified_id{1}, now_us(), "nobody"}).result,
            errc::unknown_node);
}

TEST_F(ProtocolTest, HandoffCopyStandsBesideTheNodesOwnSegmentUntilItIsPurged) {
  const auto own = stored("handoff");
  auto copy = entire_of(own);
  copy.nodes.handoff = "away";
  ASSERT_EQ(ask<archive_reply>(*client_, copy).result, errc::success);
  EXPECT_EQ(versions("handoff").size(), 1U) << "copies are not listed";
  auto key = own.key();
  key.handoff_node = "away";
  retrieve_start question;
  question.segment = key;
  EXPECT_EQ(retrieve(*client_, question).bytes, content_of(own));

  EXPECT_EQ(destroy("handoff/other", client_->next_unified_id(), {}, "away").result, errc::success);
  const auto held = ask<handoff_reply>(*client_, list_handoffs{{}, "away", 0, 100});
  ASSERT_EQ(held.handoffs.size(), 2U);
  EXPECT_EQ(held.handoffs[0].segment, own.segment);
  EXPECT_TRUE(held.handoffs[1].is_tombstone);

  EXPECT_EQ(ask<archive_reply>(*client_, purge{{}, {own.key()}}).result, errc::invalid_message);
  EXPECT_EQ(ask<archive_reply>(*client_, purge{{}, {key}}).result, errc::success);
  EXPECT_EQ(retrieve(*client_, question).result, errc::not_found);
  EXPECT_EQ(retrieve(*client_, "handoff").bytes, content_of(own));
}

TEST_F(ProtocolTest, NodesAreKnownByNumberAndName) {
  EXPECT_EQ(ask<archive_reply>(*client_, add_node{{}, node_id{2}, "away", "10.0.0.9", 1}).result,
            errc::success);
  EXPECT_EQ(ask<archive_reply>(*client_, add_node{{}, node_id{2}, "else", {}, 0}).result,
            errc::invalid_message);
  EXPECT_EQ(ask<archive_reply>(*client_, add_node{{}, node_id{3}, "away", {}, 0}).result,
            errc::invalid_message);
  EXPECT_EQ(ask<archive_reply>(*client_, add_node{{}, node_id{0}, "zero", {}, 0}).result,
            errc::invalid_message);
  const auto known = ask<nodes_reply>(*client_, list_nodes{});
  ASSERT_EQ(known.nodes.size(), 2U);
  EXPECT_EQ(known.nodes[1].name, "away");
  EXPECT_EQ(known.nodes[1].host, "10.0.0.9");
}

} // namespace
} // namespace cairn
