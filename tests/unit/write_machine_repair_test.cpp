// A segment whose stored bytes are damaged is archived again.

#include "tests/support/write_rig.hpp"

#include <algorithm>

#include <gtest/gtest.h>

namespace cairn {
namespace {

/// Version 1 is final, by an entire, and somebody has found it damaged.
class WriteMachineRepairTest : public testing::Test {
protected:
  WriteMachineRepairTest() {
    rig.send(entire(1));
    rig.settle();
    rig.database.damaged.insert(sample_key(1));
    before = places();
  }

  std::vector<std::uint64_t> places() const {
    std::vector<std::uint64_t> out;
    const auto row = rig.database.load(sample_key(1));
    for (const auto& sequence : row ? row->sequences : std::vector<stored_sequence>{})
      out.push_back(sequence.data_offset_bytes);
    return out;
  }
  bool is_damaged() const { return rig.database.load(sample_key(1))->is_damaged; }
  /// In the log.
  std::size_t repairs() const {
    return static_cast<std::size_t>(std::count_if(rig.log().begin(), rig.log().end(), [](const auto& record) {
      return std::holds_alternative<repair_record>(record.body);
    }));
  }

  write_rig rig;
  std::vector<std::uint64_t> before;
};

TEST_F(WriteMachineRepairTest, RepeatIsStoredAnewAndTheRowPointsThere) {
  const auto again = rig.send(entire(1));
  rig.round();
  EXPECT_FALSE(rig.answer(again)) << "its bytes are durable, its repair is not";
  EXPECT_TRUE(is_damaged());
  ASSERT_TRUE(rig.machine().round_is_due());
  rig.write_and_sync();
  EXPECT_FALSE(rig.answer(again));
  rig.commit();
  EXPECT_EQ(rig.code(again), errc::success);
  EXPECT_FALSE(is_damaged());
  EXPECT_NE(places(), before);
  EXPECT_EQ(rig.database.segments().size(), 1U) << "the row is the one that it was";
  EXPECT_EQ(rig.after_crash().segments(), rig.database.segments());
  EXPECT_TRUE(rig.machine().is_quiet());
  EXPECT_EQ(rig.machine().held_bytes(), 0U);
}

TEST_F(WriteMachineRepairTest, ReceiptIsThatOfTheNewFinal) {
  const auto again = rig.send(entire(1));
  rig.round();
  const auto attempt = rig.last_fold()->records;
  rig.settle();
  const auto proof = rig.answer(again)->proof;
  ASSERT_TRUE(std::holds_alternative<final_record>(attempt.back().body));
  EXPECT_EQ(proof.lsn, attempt.back().at.lsn);
  EXPECT_EQ(proof.offset_bytes, attempt.back().at.record_offset);
  EXPECT_EQ(places().front(), attempt.front().at.data_offset());
}

TEST_F(WriteMachineRepairTest, SequencesOfSeveralRoundsAreAllRepaired) {
  rig.send(start(2));
  rig.send(next(2, 1));
  rig.send(final(2, 2));
  rig.settle();
  rig.database.damaged.insert(sample_key(2));
  const auto old = rig.database.load(sample_key(2))->sequences;

  rig.send(start(2));
  rig.round();
  rig.send(next(2, 1));
  rig.round();
  const auto last = rig.send(final(2, 2));
  rig.round();
  EXPECT_FALSE(rig.answer(last));
  rig.round();
  EXPECT_EQ(repairs(), 1U);
  EXPECT_EQ(rig.code(last), errc::success);
  const auto now = rig.database.load(sample_key(2))->sequences;
  ASSERT_EQ(now.size(), 3U);
  for (std::size_t i = 0; i < now.size(); ++i) {
    EXPECT_EQ(now[i].info, old[i].info);
    EXPECT_NE(now[i].data_offset_bytes, old[i].data_offset_bytes);
  }
}

TEST_F(WriteMachineRepairTest, WhatIsSoundIsNotMoved) {
  rig.database.damaged.clear();
  const auto again = rig.send(entire(1));
  rig.round();
  EXPECT_EQ(rig.code(again), errc::success);
  EXPECT_EQ(places(), before);
  EXPECT_TRUE(rig.machine().is_quiet());
}

TEST_F(WriteMachineRepairTest, OtherContentRepairsNothing) {
  const auto other = rig.send(entire(1, 1));
  rig.settle();
  EXPECT_EQ(rig.code(other), errc::duplicate_segment);
  EXPECT_TRUE(is_damaged());
  EXPECT_EQ(places(), before);
}

TEST_F(WriteMachineRepairTest, FinalAloneSaysThatAllIsNeeded) {
  const auto alone = rig.send(final(1, 0));
  rig.settle();
  EXPECT_EQ(rig.code(alone), errc::damaged);
  EXPECT_TRUE(is_damaged());
}

TEST_F(WriteMachineRepairTest, CancelThatComesBeforeTheRepairEndsIt) {
  const auto again = rig.send(entire(1));
  rig.write_and_sync();
  const auto taken_back = rig.send(cancel(1)); // its record comes before the repair's
  rig.settle();
  EXPECT_EQ(rig.code(again), errc::cancelled);
  EXPECT_EQ(rig.code(taken_back), errc::success);
  EXPECT_EQ(rig.status(1), segment_status::cancelled);
  EXPECT_TRUE(rig.machine().is_quiet());
}

TEST_F(WriteMachineRepairTest, NoRepairFollowsACancelOrPurgeOfItsOwnRound) {
  rig.send(entire(1));
  rig.send(cancel(1));
  auto copy = entire(3);
  copy.of = sample_identity(3, node_id{4});
  rig.send(copy);
  rig.round();
  rig.database.damaged.insert(copy.of.key());
  rig.send(copy);
  rig.send(purge_request{{copy.of.key()}});
  rig.settle();
  for (const auto& record : rig.log())
    EXPECT_FALSE(std::holds_alternative<repair_record>(record.body));
  EXPECT_EQ(rig.status(1), segment_status::cancelled);
  EXPECT_FALSE(rig.database.load(copy.of.key()));
  EXPECT_TRUE(rig.machine().is_quiet());
}

TEST_F(WriteMachineRepairTest, CancelThatComesAfterTheRepairCancelsTheSegment) {
  const auto again = rig.send(entire(1));
  rig.round();
  const auto taken_back = rig.send(cancel(1));
  rig.settle();
  EXPECT_EQ(rig.code(again), errc::success);
  EXPECT_EQ(rig.code(taken_back), errc::success);
  EXPECT_EQ(rig.status(1), segment_status::cancelled);
}

TEST_F(WriteMachineRepairTest, FailureOfTheDiskIsAnsweredAndTheNextRepeatRepairs) {
  const auto again = rig.send(entire(1));
  rig.round();
  rig.machine().start_round();
  ASSERT_TRUE(rig.take_append());
  rig.fail();
  EXPECT_EQ(rig.code(again), errc::storage_error);
  rig.settle();
  EXPECT_TRUE(is_damaged());
  const auto third = rig.send(entire(1));
  rig.settle();
  EXPECT_EQ(rig.code(third), errc::success);
  EXPECT_FALSE(is_damaged());
  EXPECT_EQ(rig.after_crash().segments(), rig.database.segments());
}

TEST_F(WriteMachineRepairTest, PurgeBeforeTheRepairLeavesNothingToRepair) {
  const auto copy = sample_identity(3, node_id{4});
  auto request = entire(3);
  request.of = copy;
  rig.send(request);
  rig.settle();
  rig.database.damaged.insert(copy.key());
  const auto again = rig.send(request);
  rig.write_and_sync();
  rig.send(purge_request{{copy.key()}});
  rig.settle();
  EXPECT_EQ(rig.code(again), errc::storage_error) << "archived again, it is stored";
  EXPECT_FALSE(rig.database.load(copy.key()));
  const auto third = rig.send(request);
  rig.settle();
  EXPECT_EQ(rig.code(third), errc::success);
}

TEST_F(WriteMachineRepairTest, SecondRepeatWhileTheFirstRepairsNeedsNone) {
  const auto first = rig.send(entire(1));
  rig.round();
  const auto second = rig.send(entire(1));
  rig.settle();
  EXPECT_EQ(rig.code(first), errc::success);
  EXPECT_EQ(rig.code(second), errc::success);
  EXPECT_FALSE(is_damaged());
  EXPECT_EQ(repairs(), 1U);
}

TEST_F(WriteMachineRepairTest, FinalWhileTheRepairIsUnderWayWaitsForIt) {
  rig.send(entire(1));
  rig.write_and_sync();
  rig.send(entire(2)); // its round is written before the repair is, and asks for what waits
  rig.machine().start_round();
  ASSERT_TRUE(rig.take_append());
  rig.commit();
  const auto alone = rig.send(final(1, 0));
  rig.finish_append();
  rig.finish_sync();
  rig.commit();
  EXPECT_FALSE(rig.answer(alone)) << "damaged now, not for long";
  rig.settle();
  EXPECT_EQ(rig.code(alone), errc::success);
  EXPECT_EQ(repairs(), 1U);
}

TEST_F(WriteMachineRepairTest, CancelOfAnAttemptHoldsNoRepairUp) {
  rig.send(entire(1));
  rig.machine().start_round();
  ASSERT_TRUE(rig.take_append());
  rig.fail(1); // the attempt is forgotten, by a record of the next round
  const auto again = rig.send(entire(1));
  rig.settle();
  EXPECT_EQ(rig.code(again), errc::success);
  EXPECT_FALSE(is_damaged());
}

TEST_F(WriteMachineRepairTest, GatewayStartThatCancelsTheRepeatLeavesTheSegmentDamaged) {
  const auto again = rig.send(entire(1));
  rig.write_and_sync();
  rig.send(gateway_start_request{node_id{2}, timestamp_us{1'000'000}});
  rig.settle();
  EXPECT_EQ(rig.code(again), errc::damaged);
  EXPECT_TRUE(is_damaged());
  EXPECT_EQ(rig.status(1), segment_status::final) << "the repeat is cancelled, not what it repeats";
  const auto third = rig.send(entire(1));
  rig.settle();
  EXPECT_EQ(rig.code(third), errc::success);
  EXPECT_FALSE(is_damaged());
}

TEST_F(WriteMachineRepairTest, SyncOfTheRepairThatFailsIsAnsweredAndTheNextRepeatRepairs) {
  const auto again = rig.send(entire(1));
  rig.round();
  rig.machine().start_round();
  ASSERT_TRUE(rig.append()); // and the rows are with the database
  rig.fail();
  EXPECT_EQ(rig.code(again), errc::storage_error);
  rig.settle();
  EXPECT_TRUE(is_damaged());
  EXPECT_EQ(places(), before);
  const auto third = rig.send(entire(1));
  rig.settle();
  EXPECT_EQ(rig.code(third), errc::success);
  EXPECT_FALSE(is_damaged());
  EXPECT_EQ(rig.after_crash().segments(), rig.database.segments());
}

TEST_F(WriteMachineRepairTest, RepairThatARolloverMadeDurableSurvivesAFailure) {
  const auto again = rig.send(entire(1));
  rig.round();
  rig.machine().start_round();
  ASSERT_TRUE(rig.append());
  rig.fail(0, 1);
  rig.settle();
  EXPECT_EQ(rig.code(again), errc::success);
  EXPECT_FALSE(is_damaged());
  EXPECT_EQ(rig.after_crash().segments(), rig.database.segments());
  EXPECT_EQ(rig.machine().held_bytes(), 0U);
}

TEST_F(WriteMachineRepairTest, RepairOfASlowDatabaseIsAnsweredAsUnknownAndCommitsAllTheSame) {
  const auto again = rig.send(entire(1));
  rig.round();
  rig.write_and_sync();
  rig.pass(write_machine_options{}.database_patience + std::chrono::seconds{1});
  EXPECT_EQ(rig.code(again), errc::database_unavailable);
  rig.settle();
  EXPECT_FALSE(is_damaged());
  EXPECT_TRUE(rig.machine().is_quiet());
  EXPECT_EQ(rig.machine().held_bytes(), 0U);
}

TEST_F(WriteMachineRepairTest, MoreSequencesThanARecordHoldsAreNotRepaired) {
  write_machine_options options;
  options.max_repair_bytes = 200;
  write_rig small(options);
  for (const std::int32_t count : {3, 5}) {
    const auto version = static_cast<std::uint64_t>(count);
    const auto send_all = [&] {
      small.send(start(version));
      for (std::int32_t number = 1; number < count - 1; ++number)
        small.send(next(version, number));
      const auto last = small.send(final(version, count - 1));
      small.settle();
      return small.code(last);
    };
    EXPECT_EQ(send_all(), errc::success);
    small.database.damaged.insert(sample_key(version));
    EXPECT_EQ(send_all(), count == 3 ? errc::success : errc::damaged);
    EXPECT_EQ(small.database.damaged.contains(sample_key(version)), count == 5);
    EXPECT_TRUE(small.machine().is_quiet());
  }
}

TEST_F(WriteMachineRepairTest, LogTellsOfTheSegmentWithoutItsFirstRecords) {
  rig.send(entire(1));
  rig.settle();
  const auto& records = rig.last_fold()->records; // of the round with the repair
  ASSERT_EQ(records.size(), 1U);
  const auto* repair = std::get_if<repair_record>(&records[0].body);
  ASSERT_TRUE(repair != nullptr);
  EXPECT_EQ(repair->of.id, rig.database.load(sample_key(1))->id);
  model_database made;
  made.fold(records);
  EXPECT_EQ(made.segments(), rig.database.segments());
}

TEST_F(WriteMachineRepairTest, WhoJoinsARepeatLateLearnsOfDamageFoundMeanwhile) {
  rig.database.damaged.clear();
  const auto early = rig.send(entire(1));
  rig.write_and_sync(); // its round has asked the database, and knows of no damage
  const auto late = rig.send(entire(1));
  rig.commit();
  EXPECT_EQ(rig.code(early), errc::success);
  EXPECT_FALSE(rig.answer(late)) << "a reader may have found some since";
  rig.database.damaged.insert(sample_key(1));
  rig.settle();
  EXPECT_EQ(rig.code(late), errc::damaged);
  const auto third = rig.send(entire(1));
  rig.settle();
  EXPECT_EQ(rig.code(third), errc::success);
  EXPECT_FALSE(is_damaged());
}

TEST_F(WriteMachineRepairTest, StopWaitsForTheRepair) {
  const auto again = rig.send(entire(1));
  rig.round();
  rig.machine().stop();
  EXPECT_FALSE(rig.machine().is_quiet());
  rig.settle();
  EXPECT_EQ(rig.code(again), errc::success);
  EXPECT_TRUE(rig.machine().is_quiet());
}

} // namespace
} // namespace cairn
