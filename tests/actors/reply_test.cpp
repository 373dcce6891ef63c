#include "actors/reply.hpp"
#include "core/digest.hpp"
#include "tests/actors/actor_fixture.hpp"

#include <algorithm>

namespace cairn {
namespace {

using namespace std::chrono_literals;

class ReplyTest : public actor_fixture {
protected:
  ReplyTest() {
    limits.max_sequence_bytes = 1U << 20U;
    writer = spawn(writer_stub, &inbox);
    for (auto& reader : reader_inboxes)
      readers.push_back(spawn(reader_stub, &reader));
    reply = spawn_reply(7);
  }

  reply_actor spawn_reply(std::uint64_t client_number) {
    reply_options options;
    options.client = client_number;
    options.writer = writer;
    options.readers = readers;
    options.nodes = sample_nodes();
    options.vitals = vitals;
    options.limits = limits;
    options.account = account;
    return spawn(cairn::reply, std::move(options));
  }

  /// Sends an archive and lets it come as far as it can.
  template <class Message>
  pending_outcome<archive_reply> archive(Message message) {
    auto out = ask<archive_reply>(reply, std::move(message));
    run();
    return out;
  }
  template <class Message>
  void expect_refused(Message message, errc code) {
    const auto env = message.env;
    const auto refused = archive(std::move(message));
    ASSERT_TRUE(refused->reply);
    EXPECT_EQ(refused->reply->result, code) << refused->reply->error_message;
    EXPECT_FALSE(refused->reply->error_message.empty());
    EXPECT_EQ(refused->reply->env, env);
    EXPECT_TRUE(inbox.submits.empty());
    EXPECT_EQ(vitals->window_bytes, 0U);
  }

  /// The writer's answer to its n-th submit.
  void answer(std::size_t index, errc code = errc::success) {
    write_answer out;
    out.ticket = inbox.submits.at(index).request->ticket;
    out.code = code;
    out.proof.lsn = log_sequence_number{11};
    out.count = 3;
    caf::anon_send(
      reply, write_answers{std::make_shared<std::vector<write_answer>>(std::vector<write_answer>{out})});
    run();
  }

  node_limits limits;
  std::shared_ptr<node_vitals> vitals = std::make_shared<node_vitals>();
  std::shared_ptr<connection_account> account; ///< of clients spawned from now on
  writer_inbox inbox;
  std::array<reader_inbox, 2> reader_inboxes;
  writer_actor writer;
  std::vector<reader_actor> readers;
  reply_actor reply;
};

TEST_F(ReplyTest, AnswersWhenTheWriterDoes) {
  const auto message = sample_entire(5, 100);
  const auto out = archive(message);
  ASSERT_EQ(inbox.submits.size(), 1U);
  EXPECT_FALSE(out->reply);
  EXPECT_EQ(inbox.submits[0].request->ticket.client, 7U);
  EXPECT_EQ(vitals->window_bytes, 100U);

  answer(0);
  ASSERT_TRUE(out->reply);
  EXPECT_EQ(out->reply->result, errc::success);
  EXPECT_EQ(out->reply->env, message.env);
  EXPECT_EQ(out->reply->proof.lsn, log_sequence_number{11});
  EXPECT_EQ(out->reply->count, 3);
  EXPECT_EQ(vitals->window_bytes, 0U);
}

TEST_F(ReplyTest, AnswersAPlainMessageOnceThoughTheWriterDoesTwice) {
  caf::send_as(client, caf::actor_cast<caf::actor>(reply), sample_entire(1));
  run();
  answer(0);
  answer(0);
  EXPECT_EQ(unasked.size(), 1U);
  EXPECT_EQ(vitals->window_bytes, 0U);
}

TEST_F(ReplyTest, EachMessageBecomesItsOperation) {
  archive(sample_entire(1));
  archive(sample_start(2));
  archive(sample_next(2, 1));
  archive(sample_final(2, 2));
  archive(numbered<sync_value_file>(3));
  ASSERT_EQ(inbox.submits.size(), 5U);
  const auto operation = [&](std::size_t i) -> write_operation& {
    return inbox.submits[i].request->operation;
  };
  EXPECT_TRUE(std::holds_alternative<entire_request>(operation(0)));
  EXPECT_TRUE(std::holds_alternative<start_request>(operation(1)));
  EXPECT_TRUE(std::holds_alternative<next_request>(operation(2)));
  EXPECT_TRUE(std::holds_alternative<final_request>(operation(3)));
  EXPECT_TRUE(std::holds_alternative<sync_request>(operation(4)));
}

TEST_F(ReplyTest, DigestsSmallPayloadsOnTheSpot) {
  const auto message = sample_start(1, 32 * 1024);
  archive(message);
  ASSERT_EQ(inbox.submits.size(), 1U);
  const auto& sequence = std::get<start_request>(inbox.submits[0].request->operation).sequence;
  EXPECT_TRUE(sequence.digests_checked);
  EXPECT_EQ(sequence.checksums, checksum_data(message.data.bytes()));
}

TEST_F(ReplyTest, PassesLargePayloadsAndThoseThatWaitForARoundOnUnchecked) {
  auto large = sample_start(1, 32 * 1024 + 1);
  large.sequence.adler32 ^= 1U;
  archive(large);
  auto waits = sample_entire(2);
  waits.sequence.adler32 ^= 1U;
  archive(waits);
  ASSERT_EQ(inbox.submits.size(), 2U);
  EXPECT_FALSE(std::get<start_request>(inbox.submits[0].request->operation).sequence.digests_checked);
  EXPECT_FALSE(std::get<entire_request>(inbox.submits[1].request->operation).sequence.digests_checked);
}

TEST_F(ReplyTest, RefusesDataThatDoNotMatchTheirDigests) {
  auto message = sample_start(1);
  message.sequence.md5[0] ^= 1U;
  expect_refused(message, errc::md5_mismatch);
  message = sample_start(1);
  message.sequence.adler32 ^= 1U;
  expect_refused(message, errc::adler32_mismatch);
  message = sample_start(1);
  message.data = message.data.slice(0, 9);
  expect_refused(message, errc::size_mismatch);
}

TEST_F(ReplyTest, RefusesBadFields) {
  auto entire = sample_entire(1);
  entire.segment.key = std::string(max_key_bytes + 1, 'k');
  expect_refused(entire, errc::invalid_message);
  auto start = sample_start(1);
  start.segment.collection = {};
  expect_refused(start, errc::invalid_message);
  auto next = sample_next(1, 1);
  next.key.segment_num = 256;
  expect_refused(next, errc::invalid_message);
  auto final = sample_final(1, 1);
  final.file.size_bytes = -1;
  expect_refused(final, errc::invalid_message);
}

TEST_F(ReplyTest, RefusesUnknownNodes) {
  auto entire = sample_entire(1);
  entire.nodes.source = "elsewhere";
  expect_refused(entire, errc::unknown_node);
  auto next = sample_next(1, 1);
  next.key.handoff_node = "elsewhere";
  expect_refused(next, errc::unknown_node);
}

TEST_F(ReplyTest, RefusesLongEnvelopesOfEveryMessage) {
  const auto with_long_tag = [](auto message) {
    message.env.client_tag = std::string(max_envelope_text_bytes + 1, 't');
    return message;
  };
  expect_refused(with_long_tag(sample_entire(1)), errc::invalid_message);
  expect_refused(with_long_tag(sample_start(1)), errc::invalid_message);
  expect_refused(with_long_tag(sample_next(1, 1)), errc::invalid_message);
  expect_refused(with_long_tag(sample_final(1, 1)), errc::invalid_message);
  expect_refused(with_long_tag(sync_value_file{}), errc::invalid_message);
  const auto next = ask<retrieve_reply>(reply, with_long_tag(retrieve_next{}));
  const auto list = ask<list_reply>(reply, with_long_tag(list_keys{{}, collection_id{1}, {}, {}, 1}));
  run();
  ASSERT_TRUE(next->reply && list->reply);
  EXPECT_EQ(next->reply->result, errc::invalid_message);
  EXPECT_EQ(list->reply->result, errc::invalid_message);
  EXPECT_TRUE(reader_inboxes[0].questions.empty() && reader_inboxes[1].questions.empty());
}

TEST_F(ReplyTest, IsBusyOverTheClientsWindowUntilAnAnswerGivesItBack) {
  limits.client_window_bytes = 250;
  reply = spawn_reply(8);
  const auto first = archive(sample_entire(1, 100));
  const auto second = archive(sample_entire(2, 100));
  const auto third = archive(sample_entire(3, 100));
  ASSERT_TRUE(third->reply);
  EXPECT_EQ(third->reply->result, errc::busy);
  EXPECT_FALSE(first->reply || second->reply);
  EXPECT_EQ(vitals->window_bytes, 200U);

  answer(0, errc::storage_error);
  EXPECT_EQ(first->reply->result, errc::storage_error);
  const auto again = archive(sample_entire(3, 100));
  EXPECT_FALSE(again->reply);
  EXPECT_EQ(inbox.submits.size(), 3U);
}

TEST_F(ReplyTest, IsBusyOverTheTotalWindowOfAllClients) {
  limits.total_window_bytes = 150;
  reply = spawn_reply(8);
  archive(sample_entire(1, 100));
  const auto other = spawn_reply(9);
  const auto refused = ask<archive_reply>(other, sample_entire(2, 100));
  run();
  ASSERT_TRUE(refused->reply);
  EXPECT_EQ(refused->reply->result, errc::busy);
  EXPECT_EQ(vitals->window_bytes, 100U);
  answer(0);
  const auto taken = ask<archive_reply>(other, sample_entire(2, 100));
  run();
  EXPECT_FALSE(taken->reply);
  EXPECT_EQ(vitals->window_bytes, 100U);
}

TEST_F(ReplyTest, IsBusyOverItsCountOfRequests) {
  std::vector<pending_outcome<archive_reply>> under_way;
  for (std::uint64_t i = 0; i < 16'384; ++i)
    under_way.push_back(ask<archive_reply>(reply, sync_value_file{}));
  const auto refused = archive(sync_value_file{});
  ASSERT_TRUE(refused->reply);
  EXPECT_EQ(refused->reply->result, errc::busy);
  const auto question = ask<list_reply>(reply, list_keys{{}, collection_id{1}, {}, {}, 1});
  run();
  ASSERT_TRUE(question->reply);
  EXPECT_EQ(question->reply->result, errc::busy);
  EXPECT_FALSE(under_way.back()->reply);
  answer(0);
  EXPECT_FALSE(archive(sync_value_file{})->reply);
}

TEST_F(ReplyTest, TimesOutAndDropsTheLateAnswer) {
  const auto early = archive(sample_entire(1, 100));
  pass(20s);
  const auto late = archive(sample_entire(2, 100));
  pass(9'999ms);
  EXPECT_FALSE(early->reply);
  pass(500ms);
  ASSERT_TRUE(early->reply);
  EXPECT_EQ(early->reply->result, errc::timed_out);
  EXPECT_EQ(early->reply->env, sample_entire(1).env);
  EXPECT_FALSE(late->reply);
  EXPECT_EQ(vitals->window_bytes, 100U);

  answer(0);
  EXPECT_EQ(early->reply->result, errc::timed_out);
  EXPECT_EQ(vitals->window_bytes, 100U) << "given back once";
  answer(1);
  EXPECT_EQ(late->reply->result, errc::success);
}

TEST_F(ReplyTest, AsksReadersInTurnAndARetrievalsOwnReader) {
  for (std::uint64_t i = 0; i < 4; ++i)
    (void)ask<lookup_reply>(reply, lookup{numbered<lookup>(i).env, collection_id{1}, "key", {}});
  run();
  EXPECT_EQ(reader_inboxes[0].questions.size(), 2U);
  EXPECT_EQ(reader_inboxes[1].questions.size(), 2U);
  std::vector<pending_outcome<retrieve_reply>> replies;
  for (std::uint64_t i = 0; i < 3; ++i)
    replies.push_back(ask<retrieve_reply>(reply, retrieve_next{numbered<retrieve_next>(100 + i).env, 41, 0}));
  run();
  EXPECT_EQ(reader_inboxes[1].questions.size(), 5U);
  ASSERT_TRUE(replies[2]->reply);
  EXPECT_EQ(replies[2]->reply->env.message_id, 102U);
}

TEST_F(ReplyTest, RefusesBadQuestionsItself) {
  const auto found = ask<lookup_reply>(reply, lookup{{}, collection_id{0}, "key", {}});
  const auto listed = ask<list_reply>(reply, list_keys{{}, collection_id{1}, {}, {}, 0});
  const auto started = ask<retrieve_reply>(reply, retrieve_start{{}, {}, collection_id{1}, "", {}});
  run();
  ASSERT_TRUE(found->reply && listed->reply && started->reply);
  EXPECT_EQ(found->reply->result, errc::invalid_message);
  EXPECT_EQ(listed->reply->result, errc::invalid_message);
  EXPECT_EQ(started->reply->result, errc::invalid_message);
  EXPECT_TRUE(reader_inboxes[0].questions.empty() && reader_inboxes[1].questions.empty());
}

TEST_F(ReplyTest, ReaderThatDiedGivesATypedReply) {
  for (const auto& reader : readers)
    kill(reader);
  run();
  const auto asked = numbered<lookup>(5, lookup{{}, collection_id{1}, "key", {}});
  const auto answered = ask<lookup_reply>(reply, asked);
  run();
  ASSERT_TRUE(answered->reply);
  EXPECT_EQ(answered->reply->result, errc::internal_error);
  EXPECT_EQ(answered->reply->env, asked.env);
}

TEST_F(ReplyTest, ReaderThatIsSilentGivesTimedOut) {
  reader_inboxes[0].answers = reader_inboxes[1].answers = false;
  const auto out = ask<retrieve_reply>(reply, numbered<retrieve_next>(9));
  run();
  pass(29s);
  EXPECT_FALSE(out->reply);
  pass(1s);
  ASSERT_TRUE(out->reply);
  EXPECT_EQ(out->reply->result, errc::timed_out);
  EXPECT_EQ(out->reply->env.message_id, 9U);
}

TEST_F(ReplyTest, ReadersHaveEightQuestionsOfAClientAndLateAnswersMakeNoRoom) {
  const auto ask_one = [&](std::uint64_t number) {
    return ask<lookup_reply>(reply, numbered<lookup>(number, lookup{{}, collection_id{1}, "key", {}}));
  };
  const auto asked_count = [&] {
    return reader_inboxes[0].questions.size() + reader_inboxes[1].questions.size();
  };
  reader_inboxes[0].answers = reader_inboxes[1].answers = false;
  std::vector<pending_outcome<lookup_reply>> first, second;
  for (std::uint64_t i = 0; i < 10; ++i)
    first.push_back(ask_one(i));
  run();
  EXPECT_EQ(asked_count(), 8U);
  pass(30s);
  for (std::size_t i = 0; i < 10; ++i) {
    ASSERT_TRUE(first[i]->reply) << i;
    EXPECT_EQ(first[i]->reply->result, errc::timed_out);
    const auto was_asked = first[i]->reply->error_message.find("reader did not answer") != std::string::npos;
    EXPECT_EQ(was_asked, i < 8) << first[i]->reply->error_message;
  }

  for (std::uint64_t i = 10; i < 19; ++i)
    second.push_back(ask_one(i));
  run();
  EXPECT_EQ(asked_count(), 16U) << "an overdue question has given up its place";
  auto of_second = std::exchange(reader_inboxes[0].late_answers, {});
  reader_inboxes[0].late_answers.assign(of_second.begin(), of_second.begin() + 4); // those of the first ones
  of_second.erase(of_second.begin(), of_second.begin() + 4);
  caf::anon_send(readers[0], interval_tick{});
  run();
  EXPECT_EQ(first[0]->reply->result, errc::timed_out);
  EXPECT_EQ(asked_count(), 16U) << "nor does it give it up again";

  reader_inboxes[0].late_answers = std::move(of_second);
  reader_inboxes[0].answers = reader_inboxes[1].answers = true;
  for (const auto& reader : readers)
    caf::anon_send(reader, interval_tick{});
  run();
  EXPECT_EQ(asked_count(), 17U);
  for (const auto& out : second) {
    ASSERT_TRUE(out->reply);
    EXPECT_EQ(out->reply->result, errc::success);
  }
}

/// A client over a connection, so that what it has not taken counts.
class RemoteReplyTest : public ReplyTest {
protected:
  RemoteReplyTest() {
    limits.total_window_bytes = 4 * connection_account::drained_bytes;
    account = std::make_shared<connection_account>(totals);
    reply = spawn_reply(8);
    run();
  }

  void ask_many(std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i)
      asked.push_back(ask<lookup_reply>(reply, numbered<lookup>(i, lookup{{}, collection_id{1}, "key", {}})));
  }
  void hold_answers(bool holds) {
    for (auto& each : reader_inboxes)
      each.answers = !holds;
  }
  void let_readers_answer() {
    hold_answers(false);
    for (const auto& reader : readers)
      caf::anon_send(reader, interval_tick{});
  }
  std::size_t put_to_readers() const {
    return reader_inboxes[0].questions.size() + reader_inboxes[1].questions.size();
  }
  std::ptrdiff_t answered() const {
    return std::count_if(asked.begin(), asked.end(),
                         [](const auto& out) { return out->reply && out->reply->result == errc::success; });
  }
  /// All actors wait for something to happen.
  void expect_rest() {
    constexpr std::size_t far_more_than_needed = 10'000;
    scheduler.run(far_more_than_needed);
    EXPECT_FALSE(scheduler.has_job());
  }

  std::shared_ptr<admission_totals> totals = std::make_shared<admission_totals>();
  std::vector<pending_outcome<lookup_reply>> asked;
};

TEST_F(RemoteReplyTest, RestsWhileReadersHaveAllTheQuestionsTheyMay) {
  hold_answers(true);
  ask_many(20);
  expect_rest();
  EXPECT_EQ(put_to_readers(), 8U);
  EXPECT_EQ(answered(), 0);
  let_readers_answer();
  expect_rest();
  EXPECT_EQ(answered(), 20);
}

TEST_F(RemoteReplyTest, RestsWhileItsAnswersAreNotTakenAndGoesOnAtOnceWhenTheyAre) {
  account->set_unsent(connection_account::drained_bytes + 1);
  ask_many(20);
  expect_rest();
  EXPECT_EQ(put_to_readers(), 0U);
  account->set_unsent(connection_account::drained_bytes);
  expect_rest();
  EXPECT_EQ(answered(), 20) << "no time has passed";
}

TEST_F(RemoteReplyTest, RestsWhileAllClientsTakeTooLittleAndGoesOnWithTheNextTick) {
  connection_account other(totals);
  other.set_unsent(limits.total_window_bytes);
  account->set_unsent(1);
  ask_many(20);
  expect_rest();
  EXPECT_EQ(put_to_readers(), 0U);
  other.set_unsent(0);
  pass(500ms);
  EXPECT_EQ(answered(), 20);
}

TEST_F(ReplyTest, LostWritePathAnswersArchivesAndLeavesQuestions) {
  reader_inboxes[0].answers = reader_inboxes[1].answers = false;
  const auto first = archive(sample_entire(1));
  const auto second = archive(sample_start(2));
  const auto question = ask<retrieve_reply>(reply, numbered<retrieve_next>(9));
  run();
  caf::anon_send(reply, write_path_lost{});
  run();
  ASSERT_TRUE(first->reply && second->reply);
  EXPECT_EQ(first->reply->result, errc::internal_error);
  EXPECT_EQ(second->reply->result, errc::internal_error);
  EXPECT_FALSE(question->reply);
  EXPECT_EQ(vitals->window_bytes, 0U);
}

TEST_F(ReplyTest, UsesTheActorsThatReplaceOthers) {
  writer_inbox other_inbox;
  reader_inbox other_reader;
  caf::anon_send(
    reply, use_actors{spawn(writer_stub, &other_inbox), {reader_actor{spawn(reader_stub, &other_reader)}}});
  archive(sample_entire(1));
  (void)ask<retrieve_reply>(reply, numbered<retrieve_next>(9));
  run();
  EXPECT_TRUE(inbox.submits.empty());
  EXPECT_EQ(other_inbox.submits.size(), 1U);
  EXPECT_EQ(other_reader.questions.size(), 1U);
  kill(reply);
  run();
  EXPECT_EQ(other_inbox.clients_gone.size(), 1U);
}

TEST_F(ReplyTest, WhateverEndsItAnswersAllAndTheWriterForgetsTheClient) {
  reader_inboxes[0].answers = reader_inboxes[1].answers = false;
  const auto first = archive(sample_entire(1));
  const auto second = archive(sample_start(2));
  const auto question = ask<lookup_reply>(reply, lookup{{}, collection_id{1}, "key", {}});
  const auto retrieval = ask<retrieve_reply>(reply, numbered<retrieve_next>(9));
  run();
  kill(reply);
  run();
  ASSERT_TRUE(first->reply && second->reply && question->reply && retrieval->reply);
  EXPECT_EQ(first->reply->result, errc::internal_error);
  EXPECT_EQ(first->reply->env, sample_entire(1).env);
  EXPECT_EQ(second->reply->result, errc::internal_error);
  EXPECT_EQ(question->reply->result, errc::internal_error);
  EXPECT_EQ(retrieval->reply->result, errc::internal_error);
  EXPECT_EQ(retrieval->reply->env.message_id, 9U);
  EXPECT_EQ(vitals->window_bytes, 0U);
  EXPECT_EQ(inbox.clients_gone, std::vector<std::uint64_t>{7});
}

} // namespace
} // namespace cairn
