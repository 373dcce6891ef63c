/// What a node refuses: the error says why, and nothing is left behind.

#include "tests/integration/node_fixture.hpp"

#include <limits>

#include <caf/event_based_actor.hpp>
#include <caf/scoped_actor.hpp>
#include <fmt/format.h>

namespace cairn {
namespace {

using namespace harness;
using namespace std::chrono_literals;

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
  EXPECT_EQ(say(message).ids, welcome.ids) << "a second hello keeps the lease";
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
  EXPECT_NE(client_->node().ids.shard, other->node().ids.shard);
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

} // namespace
} // namespace cairn
