// Repeats, bad orders and look-ups.

#include "tests/support/write_rig.hpp"

#include <gtest/gtest.h>

namespace cairn {
namespace {

TEST(WriteMachineRetryTest, EntireJoinsTheOneThatWaits) {
  write_rig rig;
  std::vector<write_ticket> tickets{rig.send(entire(1)), rig.send(entire(1))}; // while its round fills
  rig.machine().start_round();
  rig.take_append();
  tickets.push_back(rig.send(entire(1)));
  rig.finish_append();
  tickets.push_back(rig.send(entire(1))); // while it is under way
  rig.finish_sync();
  tickets.push_back(rig.send(entire(1)));
  rig.commit();
  for (const auto& ticket : tickets) {
    EXPECT_EQ(rig.code(ticket), errc::success);
    EXPECT_EQ(rig.answer(ticket)->proof, rig.answer(tickets.front())->proof);
  }
  EXPECT_EQ(rig.appended_count(), 2U) << "nothing was stored twice";
  EXPECT_TRUE(rig.machine().is_quiet());
}

TEST(WriteMachineRetryTest, EntireThatIsFinalSucceedsByTheDatabase) {
  write_rig rig;
  rig.send(entire(1));
  rig.settle();
  const auto again = rig.send(entire(1));
  rig.settle();
  EXPECT_EQ(rig.code(again), errc::success);
  EXPECT_EQ(rig.database.segments().size(), 1U);
}

TEST(WriteMachineRetryTest, EntireWithOtherContentIsADuplicate) {
  using change = void (*)(entire_request&);
  const std::vector<change> changes{
    [](entire_request& r) { r.of.segment.key += "x"; },
    [](entire_request& r) { r.of.segment.collection.value++; },
    [](entire_request& r) { r.of.segment.timestamp.value++; },
    [](entire_request& r) { r.of.nodes.source.value++; },
    [](entire_request& r) { r.sequence.info.size_bytes++; },
    [](entire_request& r) { r.sequence.info.padding_bytes++; },
    [](entire_request& r) { r.sequence.info.md5[15]++; },
    [](entire_request& r) { r.sequence.info.adler32++; },
    [](entire_request& r) { r.file.size_bytes++; },
    [](entire_request& r) { r.file.adler32++; },
    [](entire_request& r) { r.file.md5[0]++; },
    [](entire_request& r) { r.meta["color"] = "blue"; },
    [](entire_request& r) { r.meta.clear(); },
  };
  for (std::size_t i = 0; i < changes.size(); ++i) {
    write_rig rig;
    const auto first = rig.send(entire(1));
    auto other = entire(1);
    changes[i](other);
    EXPECT_EQ(rig.code(rig.send(other)), errc::duplicate_segment) << "while it waits, change " << i;
    rig.settle();
    EXPECT_EQ(rig.code(first), errc::success);
    const auto later = rig.send(other);
    rig.settle();
    EXPECT_EQ(rig.code(later), errc::duplicate_segment) << "when it is final, change " << i;
  }
}

TEST(WriteMachineRetryTest, EntireOverAnActiveSegmentIsADuplicate) {
  write_rig rig;
  rig.send(start(1));
  EXPECT_EQ(rig.code(rig.send(entire(1))), errc::duplicate_segment);
  const auto last = rig.send(final(1, 1));
  rig.settle();
  EXPECT_EQ(rig.code(last), errc::success);
}

TEST(WriteMachineRetryTest, StartAndNextAcceptedAlreadyStoreNothing) {
  write_rig rig;
  rig.send(start(1));
  rig.send(next(1, 1));
  std::vector<write_ticket> repeats{rig.send(start(1)), rig.send(next(1, 1))}; // unwritten
  EXPECT_FALSE(rig.answer(repeats[0])) << "answered when written";
  rig.append();
  repeats.push_back(rig.send(start(1))); // written
  repeats.push_back(rig.send(next(1, 1)));
  rig.append();
  const auto last = rig.send(final(1, 2));
  repeats.push_back(rig.send(start(1))); // finalizing
  repeats.push_back(rig.send(next(1, 1)));
  repeats.push_back(rig.send(final(1, 2)));
  rig.settle();
  repeats.push_back(rig.send(next(1, 1))); // final: by look-up
  repeats.push_back(rig.send(final(1, 2)));
  rig.settle();
  EXPECT_EQ(rig.code(last), errc::success);
  for (std::size_t i = 0; i < repeats.size(); ++i)
    EXPECT_EQ(rig.code(repeats[i]), errc::success) << i;
  EXPECT_EQ(rig.appended_count(), 4U);
  EXPECT_TRUE(rig.machine().is_quiet());
}

TEST(WriteMachineRetryTest, WholeSegmentSentAgainAfterItsFinalSucceeds) {
  write_rig rig;
  for (int i = 0; i < 2; ++i) {
    rig.send(start(1));
    rig.send(next(1, 1));
    rig.send(final(1, 2));
    rig.settle();
  }
  for (const auto& [ticket, answer] : rig.answers())
    EXPECT_EQ(answer.code, errc::success);
  EXPECT_EQ(rig.database.segments().size(), 1U);
}

TEST(WriteMachineRetryTest, StartWithOtherContentIsADuplicate) {
  write_rig rig;
  rig.send(start(1));
  EXPECT_EQ(rig.code(rig.send(start(1, 1))), errc::duplicate_segment);
  auto other = start(1);
  other.of.segment.timestamp.value++;
  EXPECT_EQ(rig.code(rig.send(other)), errc::duplicate_segment);
  rig.send(final(1, 1));
  EXPECT_EQ(rig.code(rig.send(start(1, 1))), errc::duplicate_segment) << "while it waits";
  rig.settle();
  // Accepted, for nobody asks the database about a start; its final tells.
  rig.send(start(1, 1));
  const auto last = rig.send(final(1, 1));
  rig.settle();
  EXPECT_EQ(rig.code(last), errc::duplicate_segment);
  EXPECT_EQ(rig.status(1), segment_status::final);
}

TEST(WriteMachineRetryTest, FinalWithOtherContentIsADuplicate) {
  write_rig rig;
  rig.send(start(1));
  rig.send(final(1, 1));
  EXPECT_EQ(rig.code(rig.send(final(1, 1, 1))), errc::duplicate_segment) << "while it waits";
  rig.settle();
  const auto later = rig.send(final(1, 1, 1));
  const auto too_far = rig.send(final(1, 2));
  const auto not_last = rig.send(final(1, 0));
  rig.settle();
  for (const auto& ticket : {later, too_far, not_last})
    EXPECT_EQ(rig.code(ticket), errc::duplicate_segment) << "by look-up";
}

TEST(WriteMachineRetryTest, SequenceThatDoesNotFollowIsRefusedAndTheTextSaysWhichDoes) {
  write_rig rig;
  rig.send(start(1));
  rig.send(next(1, 1));
  const auto skipped = rig.send(next(1, 3));
  const auto other = rig.send(next(1, 1, 1));
  const auto skipped_final = rig.send(final(1, 3));
  const auto early_final = rig.send(final(1, 1));
  for (const auto& ticket : {skipped, other, skipped_final, early_final}) {
    EXPECT_EQ(rig.code(ticket), errc::sequence_out_of_order);
    EXPECT_NE(rig.answer(ticket)->message.find("2 is next"), std::string::npos);
  }
  EXPECT_EQ(rig.code(rig.send(next(1, -1))), errc::sequence_out_of_order);
  const auto last = rig.send(final(1, 2));
  rig.send(next(1, 3));
  EXPECT_EQ(rig.code(rig.send(next(1, 3))), errc::sequence_out_of_order) << "past its final";
  rig.settle();
  EXPECT_EQ(rig.code(last), errc::success);
}

TEST(WriteMachineRetryTest, StartBeginsWithSequenceZero) {
  write_rig rig;
  auto late = start(1);
  late.sequence.info.sequence_num = 2;
  EXPECT_EQ(rig.code(rig.send(late)), errc::sequence_out_of_order);
  EXPECT_EQ(rig.machine().active_segment_count(), 0U);
  rig.send(start(1));
  const auto last = rig.send(final(1, 1));
  rig.settle();
  EXPECT_EQ(rig.code(last), errc::success);
}

TEST(WriteMachineRetryTest, NextAndFinalWithoutAStartAreUnknownByLookUp) {
  write_rig rig;
  const auto stray_next = rig.send(next(1, 1));
  const auto stray_final = rig.send(final(2, 1));
  EXPECT_FALSE(rig.answer(stray_next));
  EXPECT_TRUE(rig.machine().round_is_due());
  rig.machine().start_round();
  EXPECT_FALSE(rig.append()) << "nothing to write or sync";
  ASSERT_TRUE(rig.commit());
  EXPECT_EQ(rig.code(stray_next), errc::unknown_segment);
  EXPECT_EQ(rig.code(stray_final), errc::unknown_segment);
  EXPECT_TRUE(rig.machine().is_quiet());
}

TEST(WriteMachineRetryTest, StartAfterAStrayNextDoesNotChangeItsAnswer) {
  write_rig rig;
  const auto stray = rig.send(next(1, 1));
  const auto begun = rig.send(start(1));
  rig.settle();
  EXPECT_EQ(rig.code(stray), errc::unknown_segment);
  EXPECT_EQ(rig.code(begun), errc::success);
}

TEST(WriteMachineRetryTest, LookUpsShareARoundWithRecords) {
  write_rig rig;
  rig.send(entire(1));
  rig.settle();
  const auto repeat = rig.send(final(1, 0));
  const auto other = rig.send(entire(2));
  rig.round();
  EXPECT_EQ(rig.code(repeat), errc::success);
  EXPECT_EQ(rig.code(other), errc::success);
}

TEST(WriteMachineRetryTest, KeyOfATombstoneTakesNoArchive) {
  write_rig rig;
  rig.send(destroy(1));
  rig.settle();
  const auto archived = rig.send(entire(1));
  rig.settle();
  const auto stray = rig.send(next(1, 1));
  rig.settle();
  EXPECT_EQ(rig.code(archived), errc::duplicate_segment);
  EXPECT_EQ(rig.code(stray), errc::unknown_segment);
}

TEST(WriteMachineRetryTest, DestroyAgainSucceedsAndWithOtherContentDoesNot) {
  write_rig rig;
  rig.send(destroy(9, 5));
  const auto at_once = rig.send(destroy(9, 5));
  rig.settle();
  const auto later = rig.send(destroy(9, 5));
  const auto other_version = rig.send(destroy(9, 6));
  auto other_time = destroy(9, 5);
  other_time.of.segment.timestamp.value++;
  const auto other = rig.send(other_time);
  rig.settle();
  EXPECT_EQ(rig.code(at_once), errc::success);
  EXPECT_EQ(rig.code(later), errc::success);
  EXPECT_EQ(rig.code(other_version), errc::duplicate_segment);
  EXPECT_EQ(rig.code(other), errc::duplicate_segment);
  rig.send(entire(3));
  const auto over_segment = rig.send(destroy(3));
  rig.settle();
  EXPECT_EQ(rig.code(over_segment), errc::duplicate_segment);
}

TEST(WriteMachineRetryTest, ConjoinedStepsRepeatAndAnotherKeyIsADuplicate) {
  write_rig rig;
  conjoined_request step;
  step.step.collection = collection_id{7};
  step.step.key = "big";
  step.step.version = unified_id{50};
  std::vector<write_ticket> good;
  for (const auto action : {conjoined_action::finish, conjoined_action::abort, conjoined_action::start}) {
    step.step.action = action;
    good.push_back(rig.send(step));
    good.push_back(rig.send(step));
  }
  step.step.key = "other";
  const auto bad = rig.send(step);
  rig.settle();
  for (const auto& ticket : good)
    EXPECT_EQ(rig.code(ticket), errc::success);
  EXPECT_EQ(rig.code(bad), errc::duplicate_segment);
}

TEST(WriteMachineRetryTest, HandoffCopyAndOwnSegmentStandSideBySide) {
  write_rig rig;
  auto copy = entire(1, 1);
  copy.of.nodes.handoff = node_id{4};
  const auto own = rig.send(entire(1));
  const auto held = rig.send(copy);
  rig.settle();
  EXPECT_EQ(rig.code(own), errc::success);
  EXPECT_EQ(rig.code(held), errc::success);
  rig.send(purge_request{{copy.of.key()}});
  rig.settle();
  EXPECT_FALSE(rig.database.load(copy.of.key()));
  EXPECT_EQ(rig.status(1), segment_status::final);
}

} // namespace
} // namespace cairn
