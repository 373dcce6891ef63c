/// Nodes whose settings bring them to their limits.

#include "core/log/scanner.hpp"
#include "core/log/value_file_row.hpp"
#include "tests/integration/node_fixture.hpp"

#include <limits>
#include <set>

#include <fmt/format.h>

namespace cairn {
namespace {

using namespace harness;
using namespace std::chrono_literals;

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
