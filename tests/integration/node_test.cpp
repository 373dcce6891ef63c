/// What a node stores comes back, and what its replies promise holds.

#include "core/log/scanner.hpp"
#include "tests/integration/node_fixture.hpp"

#include <limits>

#include <caf/event_based_actor.hpp>
#include <caf/scoped_actor.hpp>
#include <fmt/format.h>

namespace cairn {
namespace {

using namespace harness;
using namespace std::chrono_literals;

// --- the way there and back ---

TEST_F(NodeTest, SegmentOfOneSequenceIsFoundAndReadBack) {
  const auto object = make_object(*client_, "round/trip", {10'000});
  const auto archived = archive(*client_, object);
  ASSERT_EQ(archived.result, errc::success) << archived.error_message;
  EXPECT_EQ(archived.error_message, "");

  const auto newest = look_up(*client_, "round/trip");
  ASSERT_EQ(newest.result, errc::success) << newest.error_message;
  EXPECT_EQ(newest.version, object.segment.version);
  EXPECT_EQ(newest.timestamp, object.segment.timestamp);
  EXPECT_EQ(newest.file, object.file);
  EXPECT_FALSE(newest.is_tombstone);
  ASSERT_EQ(newest.segments.size(), 1U);
  EXPECT_EQ(newest.segments[0].segment_num, 1);
  EXPECT_EQ(newest.segments[0].sequence_count, 1);
  EXPECT_EQ(newest.segments[0].size_bytes, 10'000);

  retrieve_start question;
  question.collection = object.segment.collection;
  question.key = "round/trip";
  const auto back = ask<retrieve_reply>(*client_, question);
  ASSERT_EQ(back.result, errc::success) << back.error_message;
  EXPECT_EQ(back.sequence_count, 1);
  EXPECT_EQ(back.retrieval, 0U) << "nothing more to retrieve";
  EXPECT_EQ(back.segment, object.segment);
  EXPECT_EQ(back.file, object.file);
  EXPECT_EQ(back.nodes.source, object.source);
  EXPECT_EQ(back.sequence.info, describe(object.sequences[0], 0));
  EXPECT_EQ(retrieve(*client_, "round/trip").bytes, content_of(object));
}

TEST_F(NodeTest, SequencesSentWithoutWaitingComeBackInOrder) {
  auto object = make_object(*client_, "sequences", {70'000, 1, 200'000, 4096, 33});
  object.meta = {{"colour", "green"}, {"leer", ""}};
  const auto archived = archive(*client_, object);
  ASSERT_EQ(archived.result, errc::success) << archived.error_message;
  const auto back = retrieve(*client_, "sequences");
  EXPECT_EQ(back.result, errc::success);
  EXPECT_EQ(back.first.sequence_count, 5);
  EXPECT_EQ(back.first.meta, object.meta);
  EXPECT_EQ(back.bytes, content_of(object));
  EXPECT_EQ(look_up(*client_, "sequences").meta, object.meta);
}

TEST_F(NodeTest, LastSequenceMayBeEmpty) {
  const auto object = make_object(*client_, "empty last", {5'000, 0});
  ASSERT_EQ(archive(*client_, object).result, errc::success);
  const auto back = retrieve(*client_, "empty last");
  EXPECT_EQ(back.result, errc::success);
  EXPECT_EQ(back.first.sequence_count, 2);
  EXPECT_EQ(back.bytes, content_of(object));
}

class NodeSizeTest : public NodeTest, public testing::WithParamInterface<std::size_t> {};

TEST_P(NodeSizeTest, ComesBackWhole) {
  const auto whole = make_object(*client_, fmt::format("whole {}", GetParam()), {GetParam()});
  ASSERT_EQ(archive(*client_, whole).result, errc::success);
  const auto back = retrieve(*client_, whole.segment.key);
  EXPECT_EQ(back.result, errc::success);
  EXPECT_TRUE(back.bytes == content_of(whole));
  EXPECT_EQ(look_up(*client_, whole.segment.key).file.size_bytes, static_cast<std::int64_t>(GetParam()));
}

TEST_P(NodeSizeTest, ComesBackFromSequencesOfFourMebibytes) {
  std::vector<std::size_t> sizes;
  for (auto left = GetParam(); sizes.empty() || left > 0; left -= sizes.back())
    sizes.push_back(std::min(left, 4 * mebibyte));
  const auto object = make_object(*client_, fmt::format("pieces {}", GetParam()), sizes);
  ASSERT_EQ(archive(*client_, object).result, errc::success);
  const auto back = retrieve(*client_, object.segment.key);
  EXPECT_EQ(back.result, errc::success);
  EXPECT_TRUE(back.bytes == content_of(object));
}

INSTANTIATE_TEST_SUITE_P(Sizes, NodeSizeTest,
                         testing::Values(0, 1, 4096, 10 * mebibyte - 1, 10 * mebibyte, 10 * mebibyte + 1));

TEST_F(NodeTest, RangeTouchesOnlyTheSequencesItNeeds) {
  const auto object = make_object(*client_, "ranges", {100, 200, 300});
  ASSERT_EQ(archive(*client_, object).result, errc::success);
  const auto content = content_of(object);
  const auto read = [&](std::uint64_t first, std::uint64_t last) {
    return retrieve(*client_, "ranges", byte_range{first, last});
  };
  const auto inner = read(120, 130);
  EXPECT_EQ(inner.bytes, content.substr(120, 11));
  EXPECT_EQ(inner.first.first_sequence, 1);
  EXPECT_EQ(inner.first.last_sequence, 1);
  EXPECT_EQ(inner.first.sequence.offset_bytes, 20U);
  EXPECT_EQ(inner.first.sequence_count, 3) << "of the segment, not of the range";
  EXPECT_EQ(read(0, 0).bytes, content.substr(0, 1));
  EXPECT_EQ(read(99, 300).bytes, content.substr(99, 202));
  EXPECT_EQ(read(299, 299).bytes, content.substr(299, 1));
  EXPECT_EQ(read(599, 10'000).bytes, content.substr(599, 1)) << "cut at the end";
  EXPECT_EQ(read(0, 599).bytes, content);
  const auto past = read(600, 700);
  EXPECT_EQ(past.result, errc::success);
  EXPECT_EQ(past.bytes, "");
  EXPECT_LT(past.first.last_sequence, past.first.first_sequence);
  EXPECT_EQ(read(5, 4).result, errc::invalid_message);
}

/// Their sequences have a checksum for each block of 32 KiB, which the digester makes and the log keeps.
TEST_F(NodeTest, RangeOfLargeSequencesIsVerifiedByItsBlocks) {
  const auto object = make_object(*client_, "blocks", {100'000, 32'769, 32'768});
  ASSERT_EQ(archive(*client_, object).result, errc::success);
  const auto content = content_of(object);
  for (const std::uint64_t seam : {32'768U, 65'536U, 98'304U, 100'000U, 132'768U, 132'769U, 165'536U})
    for (const auto& [first, last] :
         {std::pair(seam - 1, seam - 1), std::pair(seam, seam), std::pair(seam - 2, seam + 1),
          std::pair(seam - 30'000, seam + 70'000)}) {
      const auto got = retrieve(*client_, "blocks", byte_range{first, last});
      EXPECT_EQ(got.result, errc::success) << first << '-' << last;
      EXPECT_TRUE(got.bytes == content.substr(first, last - first + 1)) << first << '-' << last;
    }
}

TEST_F(NodeTest, SegmentIsRetrievedByItsKey) {
  const auto old = make_object(*client_, "by key", {1'000, 2'000});
  const auto fresh = make_object(*client_, "by key", {500});
  ASSERT_EQ(archive(*client_, old).result, errc::success);
  ASSERT_EQ(archive(*client_, fresh).result, errc::success);
  retrieve_start question;
  question.segment = old.key();
  EXPECT_EQ(retrieve(*client_, question).bytes, content_of(old));
  question.segment.segment_num = 2;
  EXPECT_EQ(retrieve(*client_, question).result, errc::not_found);
  question.segment = old.key();
  question.segment.handoff_node = "nobody";
  EXPECT_EQ(retrieve(*client_, question).result, errc::unknown_node);
  question.segment.handoff_node = old.source;
  EXPECT_EQ(retrieve(*client_, question).result, errc::not_found) << "no handoff copy is held";
}

TEST_F(NodeTest, WhatIsNotThereIsNotFound) {
  EXPECT_EQ(look_up(*client_, "nowhere").result, errc::not_found);
  EXPECT_EQ(look_up(*client_, "nowhere", client_->next_unified_id()).result, errc::not_found);
  EXPECT_EQ(retrieve(*client_, "nowhere").result, errc::not_found);
  const auto late = ask<retrieve_reply>(*client_, retrieve_next{{}, 123'456'789, 1});
  EXPECT_EQ(late.result, errc::not_found);
  EXPECT_NE(late.error_message.find("retrieve_start"), std::string::npos) << late.error_message;
}

TEST_F(NodeTest, RetrievalTellsWhichSequencesItHas) {
  const auto object = make_object(*client_, "retrieval", {10, 20});
  ASSERT_EQ(archive(*client_, object).result, errc::success);
  retrieve_start question;
  question.segment = object.key();
  const auto first = ask<retrieve_reply>(*client_, question);
  EXPECT_EQ(ask<retrieve_reply>(*client_, retrieve_next{{}, first.retrieval, 2}).result,
            errc::invalid_message);
  EXPECT_EQ(ask<retrieve_reply>(*client_, retrieve_next{{}, first.retrieval, -1}).result,
            errc::invalid_message);
}

TEST_F(NodeTest, RetrievalIsOpenUntilEachSequenceWasGivenInWhateverOrder) {
  const auto object = make_object(*client_, "given", {10, 20, 30});
  ASSERT_EQ(archive(*client_, object).result, errc::success);
  retrieve_start question;
  question.segment = object.key();
  const auto opened = ask<retrieve_reply>(*client_, question);
  ASSERT_NE(opened.retrieval, 0U);
  const auto next = [&](std::int32_t number) {
    return ask<retrieve_reply>(*client_, retrieve_next{{}, opened.retrieval, number});
  };
  for (int time = 0; time < 2; ++time) {
    const auto last = next(2);
    ASSERT_EQ(last.result, errc::success) << last.error_message;
    EXPECT_EQ(last.sequence.info, describe(object.sequences[2], 2));
    EXPECT_EQ(last.sequence_count, 3);
    EXPECT_EQ(last.retrieval, opened.retrieval) << "one is missing";
  }
  const auto middle = next(1);
  ASSERT_EQ(middle.result, errc::success) << middle.error_message;
  EXPECT_EQ(middle.sequence.info, describe(object.sequences[1], 1));
  EXPECT_EQ(middle.retrieval, 0U);
  EXPECT_EQ(next(1).result, errc::not_found) << "closed at once, not when it is idle";
  EXPECT_EQ(next(2).result, errc::not_found);
}

TEST_F(NodeTest, RetrievalOfARangeClosesWithTheSequencesOfTheRange) {
  const auto object = make_object(*client_, "given/range", {100, 200, 300, 400});
  ASSERT_EQ(archive(*client_, object).result, errc::success);
  retrieve_start question;
  question.segment = object.key();
  question.range = {150, 350};
  const auto opened = ask<retrieve_reply>(*client_, question);
  ASSERT_EQ(opened.result, errc::success) << opened.error_message;
  EXPECT_EQ(opened.first_sequence, 1);
  EXPECT_EQ(opened.last_sequence, 2);
  EXPECT_EQ(ask<retrieve_reply>(*client_, retrieve_next{{}, opened.retrieval, 0}).result,
            errc::invalid_message);
  const auto last = ask<retrieve_reply>(*client_, retrieve_next{{}, opened.retrieval, 2});
  ASSERT_EQ(last.result, errc::success) << last.error_message;
  EXPECT_EQ(last.sequence_count, 4);
  EXPECT_EQ(last.sequence.info, describe(object.sequences[2], 2));
  EXPECT_EQ(last.sequence.data.size(), 51U);
  EXPECT_EQ(last.retrieval, 0U);
  EXPECT_EQ(ask<retrieve_reply>(*client_, retrieve_next{{}, opened.retrieval, 2}).result, errc::not_found);
}

TEST_F(NodeTest, PartsThatClaimHugeSizesSpoilNoList) {
  constexpr auto huge = std::numeric_limits<std::int64_t>::max();
  auto part = make_object(*client_, "huge/parts", {10});
  const auto plain = make_object(*client_, "huge/plain", {10});
  for (const auto number : {1, 2}) {
    part.segment.conjoined_part = number;
    part.file.size_bytes = huge;
    ASSERT_EQ(archive(*client_, part).result, errc::success);
  }
  ASSERT_EQ(archive(*client_, plain).result, errc::success);
  const auto& segment = part.segment;
  ASSERT_EQ(ask<archive_reply>(*client_,
                               finish_conjoined_archive{
                                 {}, segment.collection, segment.key, segment.version, segment.timestamp, {}})
              .result,
            errc::success);

  const auto listed = ask<list_reply>(*client_, list_keys{{}, segment.collection, "huge/", {}, 10});
  ASSERT_EQ(listed.result, errc::success) << listed.error_message;
  ASSERT_EQ(listed.keys.size(), 2U);
  EXPECT_EQ(listed.keys[0].key, "huge/parts");
  EXPECT_EQ(listed.keys[0].size_bytes, huge);
  EXPECT_EQ(listed.keys[1].key, "huge/plain");
  EXPECT_EQ(listed.keys[1].size_bytes, 10);
  const auto found = look_up(*client_, "huge/parts");
  ASSERT_EQ(found.result, errc::success) << found.error_message;
  EXPECT_EQ(found.file.size_bytes, huge);
  EXPECT_EQ(found.segments.size(), 2U);
  EXPECT_EQ(ask<list_reply>(*client_, list_versions{{}, segment.collection, "huge/", {}, {}, 10}).keys.size(),
            2U);
}

TEST_F(NodeTest, OfTwoNodesAddedWithOneNumberTheFirstIsKnownAndTheOtherRefused) {
  std::vector<pending_reply<archive_reply>> under_way;
  for (const auto* name : {"added-first", "added-second"})
    under_way.push_back(client_->send<archive_reply>(add_node{{}, node_id{41}, name, {}, 0}));
  const auto first = under_way[0]();
  const auto second = under_way[1]();
  ASSERT_TRUE(first && second);
  EXPECT_EQ(first->result, errc::success) << first->error_message;
  EXPECT_EQ(second->result, errc::invalid_message);
  EXPECT_NE(second->error_message.find("another number"), std::string::npos) << second->error_message;
  std::vector<std::string> names;
  for (const auto& known : ask<nodes_reply>(*client_, list_nodes{}).nodes)
    if (known.node == node_id{41})
      names.push_back(known.name);
  EXPECT_EQ(names, std::vector<std::string>{"added-first"});
  pqxx::connection connection = database();
  pqxx::nontransaction query(connection);
  EXPECT_EQ(query.exec1("SELECT name FROM cairn.node WHERE id = 41")[0].as<std::string>(), "added-first");
}

TEST_F(NodeTest, KeysAreListedInByteOrderPageByPage) {
  const std::vector<std::string> in_order{
    "list/", "list/A", "list/Z", "list/a", "list/~", "list/é", "list/日本", "list/\U0001F600",
  };
  ASSERT_TRUE(std::is_sorted(in_order.begin(), in_order.end()));
  for (auto key = in_order.rbegin(); key != in_order.rend(); ++key)
    ASSERT_EQ(archive(*client_, make_object(*client_, *key, {key->size()})).result, errc::success);
  ASSERT_EQ(archive(*client_, make_object(*client_, "lisu", {1})).result, errc::success);
  ASSERT_EQ(archive(*client_, make_object(*client_, "lis", {1})).result, errc::success);
  const auto newer = make_object(*client_, "list/Z", {77});
  ASSERT_EQ(archive(*client_, newer).result, errc::success);

  for (const auto limit : {1, 3, 8, 100}) {
    std::vector<std::string> listed;
    list_keys question{{}, newer.segment.collection, "list/", {}, limit};
    for (;;) {
      const auto page = ask<list_reply>(*client_, question);
      ASSERT_EQ(page.result, errc::success) << page.error_message;
      EXPECT_LE(page.keys.size(), static_cast<std::size_t>(limit));
      for (const auto& entry : page.keys) {
        listed.push_back(entry.key);
        EXPECT_EQ(entry.size_bytes, entry.key == "list/Z" ? 77 : static_cast<int>(entry.key.size()));
        if (entry.key == "list/Z") {
          EXPECT_EQ(entry.version, newer.segment.version);
        }
      }
      if (!page.is_truncated)
        break;
      question.marker = page.keys.back().key;
    }
    EXPECT_EQ(listed, in_order) << "limit " << limit;
  }
  EXPECT_TRUE(ask<list_reply>(*client_, list_keys{{}, collection_id{99}, {}, {}, 10}).keys.empty());
  for (const auto limit : {0, -1, max_list_limit + 1})
    EXPECT_EQ(ask<list_reply>(*client_, list_keys{{}, collection_id{1}, {}, {}, limit}).result,
              errc::invalid_message);
}

// --- what replies promise ---

TEST_F(NodeTest, ReceiptPointsAtTheRecord) {
  const auto object = make_object(*client_, "proof", {3'000, 4'000});
  const auto reply = archive(*client_, object);
  ASSERT_EQ(reply.result, errc::success);
  const auto& proof = reply.proof;
  EXPECT_GT(proof.round.value, 0U);

  auto file = real_disk().open_for_read(value_file_of(node(), proof.value_file));
  ASSERT_TRUE(file) << file.error().message;
  auto scanner = log_scanner::open(std::move(*file));
  ASSERT_TRUE(scanner) << scanner.error().message;
  std::vector<std::string> found;
  for (;;) {
    auto step = scanner->next();
    ASSERT_TRUE(step) << step.error().message;
    const auto* record = std::get_if<scanned_record>(&*step);
    if (record == nullptr)
      break;
    if (const auto* sequence = std::get_if<sequence_record>(&*record->body);
        sequence != nullptr && sequence->of.segment == object.segment) {
      found.push_back(fmt::format("sequence {}", sequence->sequence.sequence_num));
      EXPECT_TRUE(*scanner->data_is_intact(*record));
    }
    if (record->at.lsn != proof.lsn)
      continue;
    const auto* final = std::get_if<final_record>(&*record->body);
    ASSERT_NE(final, nullptr);
    found.emplace_back("final");
    EXPECT_EQ(final->of.segment, object.segment);
    EXPECT_EQ(final->file, object.file);
    EXPECT_EQ(final->total_bytes, 7'000U);
    EXPECT_EQ(record->at.record_offset, proof.offset_bytes);
    EXPECT_EQ(record->at.header_bytes + record->at.data_bytes, proof.length_bytes);
    EXPECT_EQ(record->at.header_crc32c, proof.crc32c);
  }
  EXPECT_EQ(found, (std::vector<std::string>{"sequence 0", "sequence 1", "final"}));
}

TEST_F(NodeTest, StartAndNextPromiseNothing) {
  const auto object = make_object(*client_, "promises", {10, 20, 30});
  EXPECT_EQ(ask<archive_reply>(*client_, start_of(object)).proof, receipt{});
  EXPECT_EQ(ask<archive_reply>(*client_, next_of(object, 1)).proof, receipt{});
  EXPECT_EQ(look_up(*client_, "promises").result, errc::not_found) << "not visible before its final";
  ASSERT_EQ(ask<archive_reply>(*client_, sync_value_file{}).result, errc::success);
  EXPECT_EQ(look_up(*client_, "promises").result, errc::not_found);
  EXPECT_NE(ask<archive_reply>(*client_, final_of(object)).proof, receipt{});
  EXPECT_EQ(look_up(*client_, "promises").result, errc::success);
}

/// Sends all requests at once, then notes replies in the order in which they come.
caf::behavior recorder(caf::event_based_actor* self, const storage_node_actor& node,
                       const sample_object& object, const caf::actor& report_to) {
  const auto note = [=](const archive_reply& reply) {
    self->send(report_to, reply.env.message_id, static_cast<int>(reply.result));
  };
  self->request(node, 60s, hello{}).then([=](const hello_reply&) {
    const auto count = static_cast<std::int32_t>(object.sequences.size());
    const auto send = [&](auto message, std::uint64_t id) {
      message.env = {"recorder", "one of many", id, {}};
      self->request(node, 60s, std::move(message)).then(note);
    };
    send(start_of(object), 0);
    for (std::int32_t i = 1; i + 1 < count; ++i)
      send(next_of(object, i), static_cast<std::uint64_t>(i));
    send(final_of(object), static_cast<std::uint64_t>(count - 1));
  });
  return {[](int) {}};
}

TEST_F(NodeTest, RepliesOfASegmentComeInOrder) {
  std::vector<std::size_t> sizes;
  for (std::size_t i = 0; i < 24; ++i)
    sizes.push_back(i % 3 == 0 ? 300'000 : 100 + i); // large ones are digested elsewhere
  const auto object = make_object(*client_, "in order", sizes);
  caf::scoped_actor self(node().system());
  const auto actor =
    node().system().spawn(recorder, node().handle(), object, caf::actor_cast<caf::actor>(self.ptr()));
  for (std::uint64_t i = 0; i < sizes.size(); ++i)
    self->receive(
      [&](std::uint64_t message, int result) {
        EXPECT_EQ(message, i);
        EXPECT_EQ(result, 0);
      },
      caf::after(60s) >> [] { FAIL() << "a reply is missing"; });
  self->send_exit(actor, caf::exit_reason::user_shutdown);
  EXPECT_EQ(retrieve(*client_, "in order").bytes, content_of(object));
}

TEST_F(NodeTest, ClientThatLeavesIsForgotten) {
  auto other = node().attach();
  const auto with_other = await_status(*client_, [](const auto& s) { return s.clients >= 2; });
  auto reply = other->send<archive_reply>(entire_of(make_object(*other, "left behind", {200'000})));
  other.reset();
  await_status(*client_, [&](const auto& s) { return s.clients < with_other.clients; });
  EXPECT_EQ(archive(*client_, make_object(*client_, "after it", {10})).result, errc::success);
}

TEST_F(NodeTest, StatusCountsWhatHappened) {
  harness::local_node fresh; // on the other one, clients of other tests may have left something under way
  const auto client = fresh.attach();
  const auto before = ask<status_reply>(*client, get_status{});
  EXPECT_EQ(before.phase, node_phase::ready);
  EXPECT_EQ(before.waits_for, "");
  EXPECT_EQ(before.cluster, fresh.settings().cluster_name);
  EXPECT_EQ(before.node, fresh.settings().node_name);
  EXPECT_EQ(before.database, "connected");
  EXPECT_EQ(before.actor_restarts, 0U);
  EXPECT_TRUE(before.has_space);
  EXPECT_EQ(before.value_file, value_file_id{1});
  EXPECT_GT(before.value_file_bytes, 0U);
  ASSERT_EQ(before.spaces.size(), 1U);
  EXPECT_EQ(before.spaces[0].purpose, "journal");
  EXPECT_GT(before.spaces[0].total_bytes, before.spaces[0].available_bytes);

  const auto entire = make_object(*client, "counted", {1'000});
  const auto pieces = make_object(*client, "counted too", {2'000, 3'000});
  ASSERT_EQ(archive(*client, entire).result, errc::success);
  ASSERT_EQ(ask<archive_reply>(*client, start_of(pieces)).result, errc::success);
  await_status(*client, [&](const auto& s) { return s.active_segments == before.active_segments + 1; });
  const auto last = ask<archive_reply>(*client, final_of(pieces));
  ASSERT_EQ(last.result, errc::success);
  ASSERT_EQ(archive(*client, entire).result, errc::success); // a repeat

  const auto after = ask<status_reply>(*client, get_status{});
  EXPECT_EQ(after.archives, before.archives + 2) << "repeats do not count";
  EXPECT_GE(after.bytes_archived, before.bytes_archived + 6'000);
  EXPECT_GT(after.rounds, before.rounds);
  EXPECT_GE(after.position, last.proof.lsn);
  EXPECT_EQ(after.value_file, last.proof.value_file);
  EXPECT_GT(after.value_file_bytes, last.proof.offset_bytes);
  EXPECT_EQ(after.active_segments, before.active_segments);
  EXPECT_EQ(after.completions_waiting, 0);
  EXPECT_EQ(after.oldest_wait_us, 0);
}

} // namespace
} // namespace cairn
