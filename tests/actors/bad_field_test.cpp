/// Every field of every message, past each of its bounds and at it: what is refused is told by field and by
/// what would be right, and changes nothing; what is allowed is taken.

#include "tests/actors/state_lab.hpp"

#include <limits>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

namespace cairn {
namespace {

template <class Message>
struct field_row {
  std::string name;
  std::function<void(Message&)> change;
  errc expected = errc::success; ///< success: it is at its bound, and allowed
  std::string field = {};        ///< the reply names it ...
  std::string right = {};        ///< ... and says what would be right
};
template <class Message>
using field_rows = std::vector<field_row<Message>>;

constexpr auto bad = errc::invalid_message;
constexpr auto max_int32 = std::numeric_limits<std::int32_t>::max();
constexpr auto min_int32 = std::numeric_limits<std::int32_t>::min();
constexpr std::int64_t first_us = -62'135'596'800'000'000; // year 1
constexpr std::int64_t past_us = 253'402'300'800'000'000;  // year 10000

template <class Message>
void add(field_rows<Message>& to, field_rows<Message> more) {
  std::move(more.begin(), more.end(), std::back_inserter(to));
}

template <class Message>
field_rows<Message> envelope_rows() {
  return {
    {"client tag", [](auto& m) { m.env.client_tag.assign(255, 't'); }},
    {"user request id", [](auto& m) { m.env.user_request_id.assign(255, 't'); }},
    {"message id", [](auto& m) { m.env.message_id = std::numeric_limits<std::uint64_t>::max(); }},
    {"long client tag", [](auto& m) { m.env.client_tag.assign(256, 't'); }, bad, "client_tag has 256",
     "at most 255"},
    {"long user request id", [](auto& m) { m.env.user_request_id.assign(256, 't'); }, bad,
     "user_request_id has 256", "at most 255"},
  };
}

template <class Message, class Get>
field_rows<Message> collection_rows(Get get) {
  return {
    {"collection 0", [=](auto& m) { get(m).value = 0; }, bad, "collection_id is 0", "1..2147483647"},
    {"negative collection", [=](auto& m) { get(m).value = min_int32; }, bad, "collection_id",
     "1..2147483647"},
  };
}

/// @param get a key text, its first bytes of which the valid message needs
template <class Message, class Get>
field_rows<Message> key_rows(Get get) {
  return {
    {"key of 1024 bytes", [=](auto& m) { get(m).resize(1'024, 'k'); }},
    {"no key", [=](auto& m) { get(m).clear(); }, bad, "key has 0 bytes", "1..1024"},
    {"key of 1025 bytes", [=](auto& m) { get(m).assign(1'025, 'k'); }, bad, "key has 1025 bytes", "1..1024"},
    {"key of 1025 bytes, fewer characters",
     [=](auto& m) {
       get(m) = "k";
       for (int i = 0; i < 512; ++i)
         get(m) += "é";
     },
     bad, "key has 1025 bytes", "1..1024"},
    {"key with NUL", [=](auto& m) { get(m) = std::string("a\0b", 3); }, bad, "key",
     "valid UTF-8 without NUL"},
    {"key that ends inside a character", [=](auto& m) { get(m) = "a\xc3"; }, bad, "key", "valid UTF-8"},
    {"key with an overlong form", [=](auto& m) { get(m) = "\xc0\xaf"; }, bad, "key", "valid UTF-8"},
    {"key with a surrogate", [=](auto& m) { get(m) = "\xed\xa0\x80"; }, bad, "key", "valid UTF-8"},
    {"key past Unicode", [=](auto& m) { get(m) = "\xf4\x90\x80\x80"; }, bad, "key", "valid UTF-8"},
  };
}

template <class Message, class Get>
field_rows<Message> version_rows(Get get, const std::string& field = "unified_id",
                                 bool zero_is_none = false) {
  field_rows<Message> rows{
    {"unified id of 64 bits", [=](auto& m) { get(m).value = max_unified_id + 1; }, bad, field + " is 92233",
     "1..9223372036854775807"},
    {"unified id of all bits", [=](auto& m) { get(m).value = ~std::uint64_t{0}; }, bad, field,
     "1..9223372036854775807"},
  };
  if (!zero_is_none)
    rows.push_back({"unified id 0", [=](auto& m) { get(m).value = 0; }, bad, field + " is 0", "1.."});
  return rows;
}

template <class Message, class Get>
field_rows<Message> timestamp_rows(Get get) {
  return {
    {"time of year 1", [=](auto& m) { get(m).value = first_us; }},
    {"time of year 9999", [=](auto& m) { get(m).value = past_us - 1; }},
    {"time of 1970", [=](auto& m) { get(m).value = 0; }},
    {"time before year 1", [=](auto& m) { get(m).value = first_us - 1; }, bad, "timestamp",
     "years 1 to 9999"},
    {"time of year 10000", [=](auto& m) { get(m).value = past_us; }, bad, "timestamp", "years 1 to 9999"},
    {"smallest time", [=](auto& m) { get(m).value = std::numeric_limits<std::int64_t>::min(); }, bad,
     "timestamp", "years 1 to 9999"},
  };
}

template <class Message, class Get>
field_rows<Message> segment_num_rows(Get get) {
  return {
    {"segment number 0", [=](auto& m) { get(m) = 0; }, bad, "segment_num is 0", "1..255"},
    {"segment number 256", [=](auto& m) { get(m) = 256; }, bad, "segment_num is 256", "1..255"},
    {"negative segment number", [=](auto& m) { get(m) = min_int32; }, bad, "segment_num", "1..255"},
  };
}

template <class Message, class Get>
field_rows<Message> part_rows(Get get) {
  return {
    {"part -1", [=](auto& m) { get(m) = -1; }, bad, "conjoined_part is -1", "from 1"},
    {"smallest part", [=](auto& m) { get(m) = min_int32; }, bad, "conjoined_part", "from 1"},
  };
}

/// @param get a node's name
template <class Message, class Get>
field_rows<Message> node_rows(Get get) {
  return {
    {"unknown node", [=](auto& m) { get(m) = "stranger"; }, errc::unknown_node, "node \"stranger\"",
     "add it"},
    {"node that is no text", [=](auto& m) { get(m) = std::string(1U << 20U, '\xff'); }, errc::unknown_node,
     "node \"\\xff", "(1048576 bytes)"},
  };
}

template <class Message>
field_rows<Message> segment_rows() {
  field_rows<Message> rows;
  add(rows, collection_rows<Message>([](auto& m) -> auto& { return m.segment.collection; }));
  add(rows, key_rows<Message>([](auto& m) -> auto& { return m.segment.key; }));
  add(rows, version_rows<Message>([](auto& m) -> auto& { return m.segment.version; }));
  add(rows, timestamp_rows<Message>([](auto& m) -> auto& { return m.segment.timestamp; }));
  add(rows, part_rows<Message>([](auto& m) -> auto& { return m.segment.conjoined_part; }));
  add(rows, segment_num_rows<Message>([](auto& m) -> auto& { return m.segment.segment_num; }));
  add(rows, node_rows<Message>([](auto& m) -> auto& { return m.nodes.source; }));
  add(rows, node_rows<Message>([](auto& m) -> auto& { return m.nodes.handoff; }));
  add(
    rows,
    field_rows<Message>{
      {"largest collection", [](auto& m) { m.segment.collection.value = max_int32; }},
      {"largest part", [](auto& m) { m.segment.conjoined_part = max_int32; }},
      {"segment number 255", [](auto& m) { m.segment.segment_num = 255; }},
      {"largest unified id", [](auto& m) { m.segment.version.value = max_unified_id; }},
      {"no source node", [](auto& m) { m.nodes.source.clear(); }, errc::unknown_node, "no node is named",
       "name one"},
      {"sequence number 1", [](auto& m) { m.sequence.sequence_num = 1; }, bad, "sequence_num", "must be 0"},
      {"sequence number -1", [](auto& m) { m.sequence.sequence_num = -1; }, bad, "sequence_num", "must be 0"},
    });
  return rows;
}

template <class Message>
field_rows<Message> segment_key_rows() {
  field_rows<Message> rows;
  add(rows, version_rows<Message>([](auto& m) -> auto& { return m.key.version; }));
  add(rows, part_rows<Message>([](auto& m) -> auto& { return m.key.conjoined_part; }));
  add(rows, segment_num_rows<Message>([](auto& m) -> auto& { return m.key.segment_num; }));
  add(rows, node_rows<Message>([](auto& m) -> auto& { return m.key.handoff_node; }));
  return rows;
}

template <class Message>
field_rows<Message> sequence_rows(bool may_be_empty) {
  const auto replace = [](Message& m, std::size_t size) {
    m.data = sample_data(size);
    m.sequence = describe_data(m.data, m.sequence.sequence_num);
  };
  field_rows<Message> rows{
    {"all of it padding", [](auto& m) { m.sequence.padding_bytes = m.sequence.size_bytes; }},
    {"16 MiB", [=](auto& m) { replace(m, 16U << 20U); }},
    {"16 MiB and a byte", [=](auto& m) { replace(m, (16U << 20U) + 1); }, bad, "sequence size is 16777217",
     "16777216"},
    {"padding past the size", [](auto& m) { m.sequence.padding_bytes = m.sequence.size_bytes + 1; }, bad,
     "padding size is 101", "100"},
    {"size one less", [](auto& m) { --m.sequence.size_bytes; }, errc::size_mismatch, "data has 100",
     "says 99"},
    {"size one more", [](auto& m) { ++m.sequence.size_bytes; }, errc::size_mismatch, "data has 100",
     "says 101"},
    {"no data", [](auto& m) { m.data = {}; }, errc::size_mismatch, "data has 0", "says 100"},
    {"another MD5", [](auto& m) { m.sequence.md5[15] ^= 1; }, errc::md5_mismatch, "data have MD5",
     "the message says"},
    {"another Adler-32", [](auto& m) { ++m.sequence.adler32; }, errc::adler32_mismatch, "data have Adler-32",
     "the message says"},
    {"another MD5 of much data",
     [=](auto& m) {
       replace(m, 100'000);
       m.sequence.md5[0] ^= 1;
     },
     errc::md5_mismatch, "data have MD5", "the message says"},
  };
  if (may_be_empty)
    rows.push_back({"empty", [=](auto& m) { replace(m, 0); }});
  else
    rows.push_back({"empty", [=](auto& m) { replace(m, 0); }, bad, "sequence size is 0", "1..16777216"});
  return rows;
}

template <class Message>
field_rows<Message> file_rows() {
  return {
    {"largest file", [](auto& m) { m.file.size_bytes = std::numeric_limits<std::int64_t>::max(); }},
    {"largest Adler-32", [](auto& m) { m.file.adler32 = ~std::uint32_t{0}; }},
    {"negative file size", [](auto& m) { m.file.size_bytes = -1; }, bad, "file size is -1", "0 or more"},
  };
}

template <class Message>
field_rows<Message> metadata_rows() {
  const auto pairs = [](Message& m, int count) {
    m.meta.clear();
    for (int i = 0; i < count; ++i)
      m.meta.emplace(fmt::format("{:04}", i) + std::string(1'020, 'm'), std::string(1'024, 'v'));
  };
  return {
    {"64 pairs of the largest size", [=](auto& m) { pairs(m, 64); }},
    {"an empty value",
     [](auto& m) {
       m.meta = {{"k", ""}};
     }},
    {"65 pairs", [=](auto& m) { pairs(m, 65); }, bad, "metadata has 65 pairs", "at most 64"},
    {"empty metadata key",
     [](auto& m) {
       m.meta = {{"", "v"}};
     },
     bad, "metadata key has 0", "1..1024"},
    {"metadata key of 1025 bytes",
     [](auto& m) {
       m.meta = {{std::string(1'025, 'm'), ""}};
     },
     bad, "metadata key has 1025", "1..1024"},
    {"metadata value of 1025 bytes",
     [](auto& m) {
       m.meta = {{"k", std::string(1'025, 'v')}};
     },
     bad, "metadata value of \"k\" has 1025", "at most 1024"},
    {"metadata key with NUL",
     [](auto& m) {
       m.meta = {{std::string("\0", 1), ""}};
     },
     bad, "metadata key \"\\x00\"", "valid UTF-8 without NUL"},
    {"metadata value that is no text",
     [](auto& m) {
       m.meta = {{"k", "\xff"}};
     },
     bad, "metadata key \"k\"", "valid UTF-8"},
  };
}

class BadFieldTest : public testing::Test {
protected:
  static void SetUpTestSuite() {
    spdlog::set_level(spdlog::level::off);
    lab_ = std::make_unique<state_lab>();
  }
  static void TearDownTestSuite() { lab_.reset(); }
  static stepped_node& node() { return lab_->node(); }

  /// @param valid makes a valid message about a fresh object (and what must be there before it)
  template <class Reply, class Message>
  void check(std::type_identity_t<std::function<Message()>> valid, field_rows<Message> rows) {
    add(rows, envelope_rows<Message>());
    for (const auto& row : rows) {
      SCOPED_TRACE(fmt::format("{}: {}", typeid(Message).name(), row.name));
      const auto message = valid();
      const auto writes = node().disk().count(disk_operation::write);
      auto changed = message;
      row.change(changed);
      const auto reply = node().template call<Reply>(changed);
      EXPECT_EQ(to_string(reply.result), to_string(row.expected)) << reply.error_message;
      EXPECT_EQ(reply.env, changed.env);
      if (row.expected == errc::success)
        continue;
      EXPECT_NE(reply.error_message.find(row.field), std::string::npos) << reply.error_message;
      EXPECT_NE(reply.error_message.find(row.right), std::string::npos) << reply.error_message;
      EXPECT_LT(reply.error_message.size(), 300U);
      EXPECT_EQ(node().disk().count(disk_operation::write), writes) << "something was stored";
      EXPECT_EQ(node().template call<Reply>(message).result, errc::success)
        << "valid, it is taken all the same";
    }
  }
  static lab_object fresh(bool is_entire = false) { return lab_->new_object(is_entire, {}); }
  static lab_object active() {
    auto object = fresh();
    lab_->bring(object, "active", hold::filling);
    node().call<archive_reply>(sync_value_file{});
    return object;
  }

private:
  static inline std::unique_ptr<state_lab> lab_;
};

TEST_F(BadFieldTest, ArchiveKeyEntire) {
  auto rows = segment_rows<archive_key_entire>();
  add(rows, sequence_rows<archive_key_entire>(true));
  add(rows, file_rows<archive_key_entire>());
  add(rows, metadata_rows<archive_key_entire>());
  check<archive_reply>([] { return entire_of(fresh(true)); }, rows);
}

TEST_F(BadFieldTest, ArchiveKeyStart) {
  auto rows = segment_rows<archive_key_start>();
  add(rows, sequence_rows<archive_key_start>(false));
  check<archive_reply>([] { return start_of(fresh()); }, rows);
}

TEST_F(BadFieldTest, ArchiveKeyNext) {
  auto rows = segment_key_rows<archive_key_next>();
  add(rows, sequence_rows<archive_key_next>(false));
  add(rows, {{"negative sequence number", [](auto& m) { m.sequence.sequence_num = -1; }, bad,
              "sequence_num is -1", "0 or more"},
             {"sequence number too high", [](auto& m) { m.sequence.sequence_num = max_int32; },
              errc::sequence_out_of_order, "sequence 2147483647", "2 is next"}});
  check<archive_reply>([] { return next_of(active(), 2); }, rows);
}

TEST_F(BadFieldTest, ArchiveKeyFinal) {
  auto rows = segment_key_rows<archive_key_final>();
  add(rows, sequence_rows<archive_key_final>(true));
  add(rows, file_rows<archive_key_final>());
  add(rows, metadata_rows<archive_key_final>());
  add(rows, {{"negative sequence number", [](auto& m) { m.sequence.sequence_num = -1; }, bad,
              "sequence_num is -1", "0 or more"}});
  check<archive_reply>([] { return final_of(active(), 2); }, rows);
}

TEST_F(BadFieldTest, ArchiveKeyCancel) {
  check<archive_reply>(
    [] {
      return archive_key_cancel{{}, fresh().segment_key()};
    },
    segment_key_rows<archive_key_cancel>());
}

TEST_F(BadFieldTest, DestroyKey) {
  using message = destroy_key;
  field_rows<message> rows;
  add(rows, collection_rows<message>([](auto& m) -> auto& { return m.collection; }));
  add(rows, key_rows<message>([](auto& m) -> auto& { return m.key; }));
  add(rows, version_rows<message>([](auto& m) -> auto& { return m.version; }));
  add(rows, version_rows<message>(
              [](auto& m) -> auto& { return m.deletes; }, "unified_id to delete", true));
  add(rows, timestamp_rows<message>([](auto& m) -> auto& { return m.timestamp; }));
  add(rows, segment_num_rows<message>([](auto& m) -> auto& { return m.segment_num; }));
  add(rows, node_rows<message>([](auto& m) -> auto& { return m.nodes.source; }));
  add(rows, node_rows<message>([](auto& m) -> auto& { return m.nodes.handoff; }));
  add(rows, {{"deletes itself", [](auto& m) { m.deletes = m.version; }, bad, "unified_id to delete", "own"}});
  check<archive_reply>([] { return destroy_of(fresh()); }, rows);
}

template <class Step>
class BadFieldOfStepTest : public BadFieldTest {};
using conjoined_steps =
  testing::Types<start_conjoined_archive, abort_conjoined_archive, finish_conjoined_archive>;
TYPED_TEST_SUITE(BadFieldOfStepTest, conjoined_steps);

TYPED_TEST(BadFieldOfStepTest, EachField) {
  field_rows<TypeParam> rows;
  add(rows, collection_rows<TypeParam>([](auto& m) -> auto& { return m.collection; }));
  add(rows, key_rows<TypeParam>([](auto& m) -> auto& { return m.key; }));
  add(rows, version_rows<TypeParam>([](auto& m) -> auto& { return m.version; }));
  add(rows, timestamp_rows<TypeParam>([](auto& m) -> auto& { return m.timestamp; }));
  add(rows, node_rows<TypeParam>([](auto& m) -> auto& { return m.handoff_node; }));
  this->template check<archive_reply, TypeParam>(
    [this] {
      const auto o = this->fresh();
      return TypeParam{{}, collection_id{1}, o.key(), unified_id{o.version}, o.timestamp(), {}};
    },
    rows);
}

TEST_F(BadFieldTest, GatewayStart) {
  using message = gateway_start;
  field_rows<message> rows;
  add(rows, version_rows<message>([](auto& m) -> auto& { return m.version; }));
  add(rows, timestamp_rows<message>([](auto& m) -> auto& { return m.timestamp; }));
  add(rows, node_rows<message>([](auto& m) -> auto& { return m.source_node; }));
  check<archive_reply>([] { return message{{}, unified_id{1}, timestamp_us{1}, sample_node}; }, rows);
}

TEST_F(BadFieldTest, Purge) {
  using message = purge;
  const auto first = [](auto& m) -> auto& { return m.keys.front(); };
  field_rows<message> rows;
  add(rows, version_rows<message>([=](auto& m) -> auto& { return first(m).version; }));
  add(rows, part_rows<message>([=](auto& m) -> auto& { return first(m).conjoined_part; }));
  add(rows, segment_num_rows<message>([=](auto& m) -> auto& { return first(m).segment_num; }));
  add(rows, node_rows<message>([=](auto& m) -> auto& { return first(m).handoff_node; }));
  add(rows, {{"a thousand keys", [=](auto& m) { m.keys.resize(1'000, first(m)); }},
             {"no keys", [](auto& m) { m.keys.clear(); }, bad, "purge names 0 segments", "1..1000"},
             {"1001 keys", [=](auto& m) { m.keys.resize(1'001, first(m)); }, bad, "purge names 1001 segments",
              "1..1000"},
             {"no handoff node", [=](auto& m) { first(m).handoff_node.clear(); }, bad, "no handoff node",
              "only handoff copies"}});
  check<archive_reply>([] { return message{{}, {{unified_id{fresh().version}, 0, 1, "away"}}}; }, rows);
}

TEST_F(BadFieldTest, AddNode) {
  using message = add_node;
  check<archive_reply>(
    [] {
      return message{{}, node_id{7}, "seventh", "10.0.0.7", 4160};
    },
    field_rows<message>{
      {"largest number",
       [](auto& m) {
         m = {{}, node_id{max_int32}, std::string(63, 'n'), std::string(255, 'h'), 65'535};
       }},
      {"number 0", [](auto& m) { m.node.value = 0; }, bad, "node number is 0", "1..2147483647"},
      {"negative number", [](auto& m) { m.node.value = -1; }, bad, "node number is -1", "1..2147483647"},
      {"number of another", [](auto& m) { m.node.value = 2; }, bad, "node number 2", "another number"},
      {"name of another",
       [](auto& m) {
         m.node.value = 8;
         m.name = "away";
       },
       bad, "node \"away\" has number 2", "another name"},
      {"no name", [](auto& m) { m.name.clear(); }, bad, "node name", "1 to 63 characters"},
      {"name of 64 bytes", [](auto& m) { m.name.assign(64, 'n'); }, bad, "node name", "1 to 63 characters"},
      {"name with a blank", [](auto& m) { m.name = "a b"; }, bad, "node name \"a b\"", "A-Z a-z 0-9"},
      {"host of 256 bytes", [](auto& m) { m.host.assign(256, 'h'); }, bad, "host", "at most 255 bytes"},
      {"host with NUL", [](auto& m) { m.host = std::string("\0", 1); }, bad, "host", "valid UTF-8"},
      {"port -1", [](auto& m) { m.port = -1; }, bad, "port is -1", "0..65535"},
      {"port 65536", [](auto& m) { m.port = 65'536; }, bad, "port is 65536", "0..65535"},
    });
}

TEST_F(BadFieldTest, MessagesOfAnEnvelopeAlone) {
  check<archive_reply>([] { return sync_value_file{}; }, field_rows<sync_value_file>{});
}

template <class Message>
field_rows<Message> limit_rows() {
  return {{"limit 10000", [](auto& m) { m.limit = 10'000; }},
          {"limit 0", [](auto& m) { m.limit = 0; }, bad, "limit is 0", "1..10000"},
          {"limit 10001", [](auto& m) { m.limit = 10'001; }, bad, "limit is 10001", "1..10000"},
          {"negative limit", [](auto& m) { m.limit = -1; }, bad, "limit is -1", "1..10000"}};
}

template <class Message, class Get>
field_rows<Message> list_text_rows(Get get, const std::string& field) {
  return {
    {"text of 1024 bytes", [=](auto& m) { get(m).assign(1'024, 'k'); }},
    {"text of 1025 bytes", [=](auto& m) { get(m).assign(1'025, 'k'); }, bad, field + " has 1025 bytes",
     "at most 1024"},
    {"text with NUL", [=](auto& m) { get(m) = std::string("\0", 1); }, bad, field, "valid UTF-8 without NUL"},
    {"no text", [=](auto& m) { get(m) = "\xff"; }, bad, field, "valid UTF-8"}};
}

TEST_F(BadFieldTest, ListKeys) {
  using message = list_keys;
  auto rows = limit_rows<message>();
  add(rows, collection_rows<message>([](auto& m) -> auto& { return m.collection; }));
  add(rows, list_text_rows<message>(
              [](auto& m) -> auto& { return m.prefix; }, "prefix"));
  add(rows, list_text_rows<message>(
              [](auto& m) -> auto& { return m.marker; }, "marker"));
  check<list_reply>([] { return message{{}, collection_id{1}, {}, {}, 1}; }, rows);
}

TEST_F(BadFieldTest, ListVersions) {
  using message = list_versions;
  auto rows = limit_rows<message>();
  add(rows, collection_rows<message>([](auto& m) -> auto& { return m.collection; }));
  add(rows, list_text_rows<message>(
              [](auto& m) -> auto& { return m.prefix; }, "prefix"));
  add(rows, list_text_rows<message>(
              [](auto& m) -> auto& { return m.key_marker; }, "key_marker"));
  add(rows, version_rows<message>(
              [](auto& m) -> auto& { return m.version_marker; }, "version_marker", true));
  check<list_reply>([] { return message{{}, collection_id{1}, {}, {}, {}, 1}; }, rows);
}

TEST_F(BadFieldTest, ListHandoffs) {
  using message = list_handoffs;
  auto rows = limit_rows<message>();
  add(rows, node_rows<message>([](auto& m) -> auto& { return m.node; }));
  add(rows, {{"smallest marker", [](auto& m) { m.marker = std::numeric_limits<std::int64_t>::min(); }},
             {"largest marker", [](auto& m) { m.marker = std::numeric_limits<std::int64_t>::max(); }}});
  check<handoff_reply>([] { return message{{}, "away", 0, 1}; }, rows);
}

TEST_F(BadFieldTest, Lookup) {
  using message = lookup;
  const auto object = fresh(true);
  ASSERT_EQ(node().call<archive_reply>(entire_of(object)).result, errc::success);
  field_rows<message> rows;
  add(rows, collection_rows<message>([](auto& m) -> auto& { return m.collection; }));
  auto keys = key_rows<message>([](auto& m) -> auto& { return m.key; });
  keys.front().expected = errc::not_found; // there is no such key
  keys.front().field = keys.front().right = "no such key";
  add(rows, keys);
  add(rows, version_rows<message>(
              [](auto& m) -> auto& { return m.version; }, "unified_id", true));
  check<lookup_reply>([=] { return message{{}, collection_id{1}, object.key(), {}}; }, rows);
}

TEST_F(BadFieldTest, RetrieveStart) {
  using message = retrieve_start;
  const auto object = fresh(true);
  ASSERT_EQ(node().call<archive_reply>(entire_of(object)).result, errc::success);
  field_rows<message> by_key;
  add(by_key, collection_rows<message>([](auto& m) -> auto& { return m.collection; }));
  auto keys = key_rows<message>([](auto& m) -> auto& { return m.key; });
  keys.erase(keys.begin());
  add(by_key, keys);
  add(by_key, {{"range of one byte",
                [](auto& m) {
                  m.range = {0, 0};
                }},
               {"range past the end",
                [](auto& m) {
                  m.range = {~std::uint64_t{0}, ~std::uint64_t{0}};
                }},
               {"range that ends before it begins",
                [](auto& m) {
                  m.range = {1, 0};
                },
                bad, "range 1-0", "first must not pass last"}});
  check<retrieve_reply>(
    [=] {
      message m;
      m.collection = collection_id{1};
      m.key = object.key();
      return m;
    },
    by_key);
  field_rows<message> by_segment;
  add(by_segment, part_rows<message>([](auto& m) -> auto& { return m.segment.conjoined_part; }));
  add(by_segment, segment_num_rows<message>([](auto& m) -> auto& { return m.segment.segment_num; }));
  add(by_segment, node_rows<message>([](auto& m) -> auto& { return m.segment.handoff_node; }));
  add(by_segment, version_rows<message>(
                    [](auto& m) -> auto& { return m.segment.version; }, "unified_id", true));
  check<retrieve_reply>(
    [=] {
      message m;
      m.segment = object.segment_key();
      return m;
    },
    by_segment);
}

TEST_F(BadFieldTest, Hello) {
  const std::string names[] = {"client_tag", "incarnation"};
  for (const auto& name : names)
    for (const std::size_t size : {255U, 256U}) {
      hello message;
      (name == "client_tag" ? message.client_tag : message.incarnation).assign(size, 'h');
      const auto reply = node().call<hello_reply>(message);
      EXPECT_EQ(reply.result, size == 255 ? errc::success : bad);
      if (size == 256) {
        EXPECT_NE(reply.error_message.find(name + " has 256 bytes, it must have at most 255"),
                  std::string::npos)
          << reply.error_message;
      }
    }
}

} // namespace
} // namespace cairn
