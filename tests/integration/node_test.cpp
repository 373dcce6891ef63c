/// A node as its clients see it: real actors, real disk, real PostgreSQL.

#include "core/clock.hpp"
#include "core/log/scanner.hpp"
#include "core/log/value_file_row.hpp"
#include "core/store/file_spaces.hpp"
#include "tests/harness/archives.hpp"
#include "tests/harness/host_process.hpp"
#include "tests/harness/local_node.hpp"

#include <algorithm>
#include <limits>
#include <set>

#include <caf/event_based_actor.hpp>
#include <caf/scoped_actor.hpp>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <pqxx/pqxx>
#include <spdlog/spdlog.h>

namespace cairn {
namespace {

using namespace harness;
using namespace std::chrono_literals;

constexpr std::size_t mebibyte = 1U << 20U;

std::string value_file_of(const local_node& node, value_file_id id) {
  return value_file_path(node.settings().data_directory + "/spaces", space_id{1}, id);
}

/// A node that its tests share; each has clients of its own.
class NodeTest : public testing::Test {
protected:
  static void SetUpTestSuite() {
    spdlog::set_level(spdlog::level::warn);
    directory_ = std::make_unique<scratch_directory>();
    node_ = std::make_unique<local_node>(settings_in(*directory_ / "node"));
    ASSERT_EQ(node_->start().result, errc::success) << node_->start().error_message;
  }
  static void TearDownTestSuite() {
    node_.reset();
    directory_.reset();
  }
  static local_node& node() { return *node_; }
  static pqxx::connection database() {
    return pqxx::connection(database_of(node_->settings().data_directory));
  }

  std::unique_ptr<client> client_ = node_->attach();

private:
  static inline std::unique_ptr<scratch_directory> directory_;
  static inline std::unique_ptr<local_node> node_;
};

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
  const auto first = retrieve(*client_, "retrieval").first;
  EXPECT_EQ(ask<retrieve_reply>(*client_, retrieve_next{{}, first.retrieval, 2}).result,
            errc::invalid_message);
  EXPECT_EQ(ask<retrieve_reply>(*client_, retrieve_next{{}, first.retrieval, -1}).result,
            errc::invalid_message);
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

// --- who may speak ---

TEST_F(NodeTest, HelloThatDoesNotFitIsRefused) {
  caf::scoped_actor self(node().system());
  const auto say = [&](const hello& message) {
    hello_reply out;
    self->request(node().handle(), 60s, message)
      .receive([&](const hello_reply& reply) { out = reply; },
               [](const caf::error&) { FAIL() << "no reply to hello"; });
    return out;
  };
  hello message;
  message.version = wire_version + 1;
  const auto other_version = say(message);
  EXPECT_EQ(other_version.result, errc::version_mismatch);
  EXPECT_NE(other_version.error_message.find(std::to_string(wire_version + 1)), std::string::npos);
  message.version = wire_version;
  message.cluster = "elsewhere";
  const auto other_cluster = say(message);
  EXPECT_EQ(other_cluster.result, errc::version_mismatch);
  EXPECT_NE(other_cluster.error_message.find("elsewhere"), std::string::npos);
  message.cluster = node().settings().cluster_name;
  const auto welcome = say(message);
  EXPECT_EQ(welcome.result, errc::success);
  EXPECT_EQ(welcome.node, node().settings().node_name);
  EXPECT_EQ(say(message).shard, welcome.shard) << "a second hello keeps the lease";
}

TEST_F(NodeTest, RequestWithoutHelloIsRefused) {
  caf::scoped_actor self(node().system());
  auto message = entire_of(make_object(*client_, "unannounced", {10}));
  message.env = {"tag", "request", 7, {}};
  self->request(node().handle(), 60s, message)
    .receive(
      [&](const archive_reply& reply) {
        EXPECT_EQ(reply.result, errc::version_mismatch);
        EXPECT_EQ(reply.env, message.env);
        EXPECT_NE(reply.error_message.find("hello"), std::string::npos);
      },
      [](const caf::error&) { FAIL() << "no reply"; });
  self->request(node().handle(), 60s, lookup{{}, collection_id{1}, "unannounced", {}})
    .receive([](const lookup_reply& reply) { EXPECT_EQ(reply.result, errc::version_mismatch); },
             [](const caf::error&) { FAIL() << "no reply"; });
  EXPECT_EQ(look_up(*client_, "unannounced").result, errc::not_found);
}

TEST_F(NodeTest, ClientsLeaseDifferentShards) {
  const auto other = node().attach();
  EXPECT_NE(client_->node().shard, other->node().shard);
  EXPECT_NE(client_->next_unified_id(), other->next_unified_id());
}

// --- what is not taken ---

struct bad_message {
  std::string name;
  errc expected;
  std::function<void(archive_key_entire&)> spoil;
};

TEST_F(NodeTest, EveryWrongFieldIsRefusedAndLeavesNothingBehind) {
  const auto rows = [](pqxx::connection& connection) {
    pqxx::nontransaction query(connection);
    return query
      .exec1("SELECT (SELECT count(*) FROM cairn.segment) + (SELECT count(*) FROM cairn.segment_sequence)"
             " + (SELECT count(*) FROM cairn.meta) + (SELECT count(*) FROM cairn.rejected)")[0]
      .as<std::int64_t>();
  };
  using entire = archive_key_entire;
  const auto invalid = errc::invalid_message;
  const std::vector<bad_message> messages{
    {"collection 0", invalid, [](entire& m) { m.segment.collection = collection_id{0}; }},
    {"negative collection", invalid, [](entire& m) { m.segment.collection = collection_id{-4}; }},
    {"no key", invalid, [](entire& m) { m.segment.key.clear(); }},
    {"long key", invalid, [](entire& m) { m.segment.key.assign(max_key_bytes + 1, 'k'); }},
    {"key with NUL", invalid, [](entire& m) { m.segment.key = std::string("a\0b", 3); }},
    {"key not UTF-8", invalid, [](entire& m) { m.segment.key = "\xC3("; }},
    {"key with surrogate", invalid, [](entire& m) { m.segment.key = "\xED\xA0\x80"; }},
    {"unified id 0", invalid, [](entire& m) { m.segment.version = unified_id{0}; }},
    {"unified id of 64 bits", invalid, [](entire& m) { m.segment.version.value |= 1ULL << 63U; }},
    {"time past year 9999", invalid,
     [](entire& m) { m.segment.timestamp.value = std::numeric_limits<std::int64_t>::max(); }},
    {"time before year 1", invalid,
     [](entire& m) { m.segment.timestamp.value = std::numeric_limits<std::int64_t>::min(); }},
    {"negative part", invalid, [](entire& m) { m.segment.conjoined_part = -1; }},
    {"segment number 0", invalid, [](entire& m) { m.segment.segment_num = 0; }},
    {"segment number 256", invalid, [](entire& m) { m.segment.segment_num = 256; }},
    {"sequence number 1", invalid, [](entire& m) { m.sequence.sequence_num = 1; }},
    {"padding past the size", invalid,
     [](entire& m) { m.sequence.padding_bytes = m.sequence.size_bytes + 1; }},
    {"negative file size", invalid, [](entire& m) { m.file.size_bytes = -1; }},
    {"65 pairs", invalid,
     [](entire& m) {
       for (int i = 0; i < 65; ++i)
         m.meta.emplace(std::to_string(i), "");
     }},
    {"empty metadata key", invalid, [](entire& m) { m.meta.emplace("", "value"); }},
    {"long metadata key", invalid, [](entire& m) { m.meta.emplace(std::string(1025, 'k'), ""); }},
    {"long metadata value", invalid, [](entire& m) { m.meta.emplace("k", std::string(1025, 'v')); }},
    {"metadata with NUL", invalid, [](entire& m) { m.meta.emplace("k", std::string("\0", 1)); }},
    {"long client tag", invalid, [](entire& m) { m.env.user_request_id.assign(256, 'u'); }},
    {"no source node", errc::unknown_node, [](entire& m) { m.nodes.source.clear(); }},
    {"unknown source node", errc::unknown_node, [](entire& m) { m.nodes.source = "stranger"; }},
    {"unknown handoff node", errc::unknown_node, [](entire& m) { m.nodes.handoff = "stranger"; }},
    {"size one less", errc::size_mismatch, [](entire& m) { --m.sequence.size_bytes; }},
    {"data cut short", errc::size_mismatch, [](entire& m) { m.data = m.data.slice(0, m.data.size() - 1); }},
    {"no data", errc::size_mismatch, [](entire& m) { m.data = {}; }},
    {"other MD5", errc::md5_mismatch, [](entire& m) { m.sequence.md5[3] ^= 1; }},
    {"other Adler-32", errc::adler32_mismatch, [](entire& m) { m.sequence.adler32 += 1; }},
    {"other data", errc::md5_mismatch, [](entire& m) { m.data = bytes_of_seed(m.data.size(), 42); }},
    {"too long", invalid,
     [](entire& m) {
       m.data = bytes_of_seed(16 * mebibyte + 1, 1);
       m.sequence = describe(m.data, 0);
     }},
  };
  auto connection = database();
  const auto before = ask<status_reply>(*client_, get_status{});
  const auto rows_before = rows(connection);
  for (const std::size_t size : {100U, 100'000U}) // digested on the spot, and elsewhere
    for (const auto& bad : messages) {
      SCOPED_TRACE(fmt::format("{} of {} bytes", bad.name, size));
      const auto object = make_object(*client_, "spoilt", {size});
      auto message = entire_of(object);
      bad.spoil(message);
      const auto reply = ask<archive_reply>(*client_, std::move(message));
      EXPECT_EQ(reply.result, bad.expected) << to_string(reply.result) << ": " << reply.error_message;
      EXPECT_NE(reply.error_message, "");
      EXPECT_EQ(reply.proof, receipt{});
      EXPECT_EQ(look_up(*client_, "spoilt", object.segment.version).result, errc::not_found);
    }
  ASSERT_EQ(ask<archive_reply>(*client_, sync_value_file{}).result, errc::success);
  const auto after = ask<status_reply>(*client_, get_status{});
  EXPECT_EQ(after.position, before.position);
  EXPECT_EQ(after.value_file_bytes, before.value_file_bytes);
  EXPECT_EQ(after.active_segments, before.active_segments);
  EXPECT_EQ(rows(connection), rows_before);
  // The same objects unspoilt: nothing of their keys is taken.
  EXPECT_EQ(archive(*client_, make_object(*client_, "spoilt", {100})).result, errc::success);
}

TEST_F(NodeTest, WrongSequenceLeavesTheSegmentAsItWas) {
  const auto object = make_object(*client_, "mended", {50'000, 60'000, 70'000});
  ASSERT_EQ(ask<archive_reply>(*client_, start_of(object)).result, errc::success);
  auto spoilt = next_of(object, 1);
  spoilt.sequence.md5[0] ^= 1;
  EXPECT_EQ(ask<archive_reply>(*client_, spoilt).result, errc::md5_mismatch);
  auto skipping = final_of(object);
  const auto skipped = ask<archive_reply>(*client_, skipping);
  EXPECT_EQ(skipped.result, errc::sequence_out_of_order);
  EXPECT_NE(skipped.error_message.find('1'), std::string::npos) << skipped.error_message;
  auto empty = next_of(object, 1);
  empty.data = {};
  empty.sequence = describe(empty.data, 1);
  EXPECT_EQ(ask<archive_reply>(*client_, empty).result, errc::invalid_message);
  ASSERT_EQ(ask<archive_reply>(*client_, next_of(object, 1)).result, errc::success);
  ASSERT_EQ(ask<archive_reply>(*client_, final_of(object)).result, errc::success);
  EXPECT_EQ(retrieve(*client_, "mended").bytes, content_of(object));
}

TEST_F(NodeTest, NextAndFinalWithoutStartAreUnknown) {
  const auto object = make_object(*client_, "unstarted", {10, 20, 30});
  EXPECT_EQ(ask<archive_reply>(*client_, next_of(object, 1)).result, errc::unknown_segment);
  EXPECT_EQ(ask<archive_reply>(*client_, final_of(object)).result, errc::unknown_segment);
  EXPECT_EQ(look_up(*client_, "unstarted").result, errc::not_found);
}

TEST_F(NodeTest, RepeatsSucceedAndStoreNothing) {
  const auto whole = make_object(*client_, "repeated", {1'000});
  const auto pieces = make_object(*client_, "repeated pieces", {1'000, 2'000, 3'000});
  ASSERT_EQ(archive(*client_, whole).result, errc::success);
  ASSERT_EQ(ask<archive_reply>(*client_, start_of(pieces)).result, errc::success);
  EXPECT_EQ(ask<archive_reply>(*client_, start_of(pieces)).result, errc::success);
  ASSERT_EQ(ask<archive_reply>(*client_, next_of(pieces, 1)).result, errc::success);
  EXPECT_EQ(ask<archive_reply>(*client_, next_of(pieces, 1)).result, errc::success);
  EXPECT_EQ(ask<archive_reply>(*client_, start_of(pieces)).result, errc::success);
  ASSERT_EQ(ask<archive_reply>(*client_, final_of(pieces)).result, errc::success);
  EXPECT_EQ(ask<archive_reply>(*client_, final_of(pieces)).result, errc::success);
  EXPECT_EQ(ask<archive_reply>(*client_, next_of(pieces, 1)).result, errc::success);
  EXPECT_EQ(archive(*client_, whole).result, errc::success);
  auto connection = database();
  pqxx::nontransaction query(connection);
  EXPECT_EQ(
    query.exec_params1("SELECT count(*) FROM cairn.segment WHERE key LIKE 'repeated%' AND status = 'F'")[0]
      .as<int>(),
    2);
  EXPECT_EQ(retrieve(*client_, "repeated pieces").bytes, content_of(pieces));
}

TEST_F(NodeTest, KeyOfASegmentTakesOneContentOnly) {
  const auto object = make_object(*client_, "taken", {1'000});
  ASSERT_EQ(archive(*client_, object).result, errc::success);
  auto other = object;
  other.sequences = {bytes_of_seed(1'000, 5)};
  other.file = describe(other.sequences);
  EXPECT_EQ(archive(*client_, other).result, errc::duplicate_segment);
  auto meta_differs = object;
  meta_differs.meta = {{"a", "b"}};
  EXPECT_EQ(archive(*client_, meta_differs).result, errc::duplicate_segment);
  EXPECT_EQ(retrieve(*client_, "taken").bytes, content_of(object));
}

TEST_F(NodeTest, TwoClientsWithOneKeyLeaveTwoVersions) {
  const auto other = node().attach();
  const auto first = make_object(*client_, "shared", {90'000});
  const auto second = make_object(*other, "shared", {80'000});
  auto first_reply = client_->send<archive_reply>(entire_of(first));
  auto second_reply = other->send<archive_reply>(entire_of(second));
  ASSERT_EQ(first_reply()->result, errc::success);
  ASSERT_EQ(second_reply()->result, errc::success);
  const auto& newest = first.segment.version > second.segment.version ? first : second;
  EXPECT_EQ(look_up(*client_, "shared").version, newest.segment.version);
  EXPECT_EQ(retrieve(*other, "shared").bytes, content_of(newest));
  for (const auto* object : {&first, &second}) {
    EXPECT_EQ(look_up(*client_, "shared", object->segment.version).file, object->file);
    retrieve_start question;
    question.segment = object->key();
    EXPECT_EQ(retrieve(*client_, question).bytes, content_of(*object));
  }
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

// --- nodes of their own ---

/// A node with settings of the test's own.
class OwnNodeTest : public testing::Test {
protected:
  node_settings settings() { return settings_in(directory_ / "node"); }
  scratch_directory directory_;
};

TEST_F(OwnNodeTest, ValueFilesRollOverAndTheirDigestsEqualTheirRows) {
  auto with_small_files = settings();
  with_small_files.max_value_file_bytes = 256 * 1024;
  local_node node(with_small_files);
  ASSERT_EQ(node.start().result, errc::success) << node.start().error_message;
  auto client = node.attach();
  std::vector<sample_object> objects;
  std::vector<pending_reply<archive_reply>> under_way;
  for (int i = 0; i < 20; ++i) {
    objects.push_back(make_object(*client, fmt::format("rolled/{:02}", i), {50'000, 45'000}));
    under_way.push_back(client->send<archive_reply>(start_of(objects.back())));
    under_way.push_back(client->send<archive_reply>(final_of(objects.back())));
  }
  std::set<value_file_id> files;
  for (auto& waiting : under_way) {
    const auto reply = waiting();
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->result, errc::success) << reply->error_message;
    files.insert(reply->proof.value_file);
  }
  EXPECT_GE(files.size(), 5U);
  for (const auto& object : objects)
    EXPECT_EQ(retrieve(*client, object.segment.key).bytes, content_of(object));

  pqxx::connection connection(database_of(node.settings().data_directory));
  pqxx::nontransaction query(connection);
  int closed = 0;
  for (const auto& row : query.exec(
         "SELECT id, size, hash, segment_sequence_count, min_segment_id, max_segment_id, "
         "distinct_collection_count,"
         " array_to_string(collection_ids, ',') FROM cairn.value_file WHERE close_time IS NOT NULL")) {
    const value_file_id id{row[0].as<std::int32_t>()};
    auto file = real_disk().open_for_read(value_file_of(node, id));
    ASSERT_TRUE(file) << file.error().message;
    EXPECT_EQ((*file)->size().value(), row[1].as<std::uint64_t>());
    EXPECT_LE(row[1].as<std::uint64_t>(), with_small_files.max_value_file_bytes);
    auto scanner = log_scanner::open(std::move(*file));
    ASSERT_TRUE(scanner);
    value_file_summary summary(id, space_id{1}, scanner->header().creation_time);
    summary.add_file_header(scanner->header_block());
    for (auto step = scanner->next(); std::holds_alternative<scanned_record>(step.value());
         step = scanner->next())
      summary.add_record(std::get<scanned_record>(*step).header, *std::get<scanned_record>(*step).body);
    const auto scanned = summary.closed_row(scanner->end(), {});
    EXPECT_EQ("\\x" + to_hex(*scanned.hash), row[2].as<std::string>());
    EXPECT_EQ(scanned.sequence_count, row[3].as<std::int32_t>());
    EXPECT_EQ(scanned.min_segment.value, row[4].as<std::int64_t>(0));
    EXPECT_EQ(scanned.max_segment.value, row[5].as<std::int64_t>(0));
    EXPECT_EQ(row[6].as<std::int32_t>(), 1);
    EXPECT_EQ(row[7].as<std::string>(), "1");
    ++closed;
  }
  EXPECT_GE(closed, 5);
  const auto open = query.exec1("SELECT count(*), max(id) FROM cairn.value_file WHERE close_time IS NULL");
  EXPECT_EQ(open[0].as<int>(), 1);
  EXPECT_EQ(open[1].as<std::int32_t>(), ask<status_reply>(*client, get_status{}).value_file.value);
}

TEST_F(OwnNodeTest, PayloadPastTheWindowIsBusyAndTheWindowComesBack) {
  auto with_small_window = settings();
  with_small_window.limits.client_window_bytes = mebibyte;
  local_node node(with_small_window);
  ASSERT_EQ(node.start().result, errc::success) << node.start().error_message;
  auto client = node.attach();
  EXPECT_EQ(client->node().limits.client_window_bytes, mebibyte);
  const auto fits = make_object(*client, "fits", {mebibyte});
  const auto too_much = make_object(*client, "too much", {mebibyte + 1});
  for (int i = 0; i < 3; ++i) {
    const auto refused = archive(*client, too_much);
    EXPECT_EQ(refused.result, errc::busy);
    EXPECT_NE(refused.error_message.find("window"), std::string::npos) << refused.error_message;
    EXPECT_EQ(archive(*client, fits).result, errc::success);
  }
  EXPECT_EQ(look_up(*client, "too much").result, errc::not_found);

  // However many are under way at once: each is taken or refused, and in the end all of the window is back.
  std::vector<pending_reply<archive_reply>> under_way;
  for (int i = 0; i < 16; ++i)
    under_way.push_back(
      client->send<archive_reply>(entire_of(make_object(*client, fmt::format("many/{}", i), {300'000}))));
  int taken = 0;
  for (auto& waiting : under_way) {
    const auto reply = waiting();
    ASSERT_TRUE(reply);
    EXPECT_TRUE(reply->result == errc::success || reply->result == errc::busy) << reply->error_message;
    taken += reply->result == errc::success ? 1 : 0;
  }
  EXPECT_GE(taken, 3);
  EXPECT_EQ(archive(*client, make_object(*client, "fits", {mebibyte})).result, errc::success);
  EXPECT_EQ(ask<list_reply>(*client, list_keys{{}, collection_id{1}, "many/", {}, 100}).keys.size(),
            static_cast<std::size_t>(taken));
}

TEST_F(OwnNodeTest, WindowOfAllClientsIsBoundedToo) {
  auto with_small_window = settings();
  with_small_window.limits.total_window_bytes = 100'000;
  local_node node(with_small_window);
  auto client = node.attach();
  EXPECT_EQ(archive(*client, make_object(*client, "too much", {100'001})).result, errc::busy);
  EXPECT_EQ(archive(*client, make_object(*client, "fits", {100'000})).result, errc::success);
}

TEST_F(OwnNodeTest, IdleSegmentsAndRetrievalsAreGivenUp) {
  auto impatient = settings();
  impatient.idle_limit = 100ms;
  impatient.sync_interval = 50ms;
  local_node node(impatient);
  ASSERT_EQ(node.start().result, errc::success) << node.start().error_message;
  auto client = node.attach();
  const auto object = make_object(*client, "idle", {1'000, 2'000, 3'000});
  ASSERT_EQ(ask<archive_reply>(*client, start_of(object)).result, errc::success);
  await_status(*client, [](const auto& s) { return s.active_segments == 0; });
  EXPECT_EQ(ask<archive_reply>(*client, next_of(object, 1)).result, errc::cancelled);
  EXPECT_EQ(ask<archive_reply>(*client, final_of(object)).result, errc::cancelled);
  EXPECT_EQ(ask<archive_reply>(*client, start_of(object)).result, errc::cancelled);
  EXPECT_EQ(look_up(*client, "idle").result, errc::not_found);

  const auto stored = make_object(*client, "stored", {1'000, 2'000});
  ASSERT_EQ(archive(*client, stored).result, errc::success);
  retrieve_start question;
  question.segment = stored.key();
  const auto retrieval = ask<retrieve_reply>(*client, question).retrieval;
  const auto until = soon();
  // The number of a sequence that it does not have: an answer that does not keep the retrieval open.
  while (ask<retrieve_reply>(*client, retrieve_next{{}, retrieval, 2}).result != errc::not_found)
    ASSERT_LT(std::chrono::steady_clock::now(), until);
}

TEST_F(OwnNodeTest, BelowTheReserveArchivesAreRefusedAndReadsGoOn) {
  auto tight = settings();
  {
    local_node node(tight);
    auto client = node.attach();
    ASSERT_EQ(archive(*client, make_object(*client, "early", {1'000})).result, errc::success);
  }
  tight.min_reserve_bytes = std::numeric_limits<std::uint64_t>::max() / 2;
  local_node node(tight);
  ASSERT_EQ(node.start().result, errc::success) << node.start().error_message;
  auto client = node.attach();
  await_status(*client, [](const auto& s) { return !s.has_space; });
  auto refused = errc::success; // status tells it a moment before the writer hears of it
  for (const auto until = soon(); refused == errc::success && std::chrono::steady_clock::now() < until;)
    refused = archive(*client, make_object(*client, "late", {1'000})).result;
  EXPECT_EQ(refused, errc::no_space);
  EXPECT_EQ(retrieve(*client, "early").result, errc::success);
}

TEST_F(OwnNodeTest, StoppingNodeAnswersWhatIsUnderWay) {
  local_node node(settings());
  auto client = node.attach();
  std::vector<pending_reply<archive_reply>> under_way;
  for (int i = 0; i < 10; ++i)
    under_way.push_back(
      client->send<archive_reply>(entire_of(make_object(*client, fmt::format("stopping/{}", i), {100'000}))));
  EXPECT_EQ(node.stop(), 0);
  for (auto& waiting : under_way) {
    const auto reply = waiting();
    if (reply)
      EXPECT_TRUE(reply->result == errc::success || reply->result == errc::shutting_down)
        << to_string(reply->result) << ": " << reply->error_message;
    else
      ADD_FAILURE() << "no reply: " << reply.error().message;
  }
}

} // namespace
} // namespace cairn
