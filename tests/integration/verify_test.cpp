/// `cairn verify` over nodes that are sound, and over each kind of damage. CAIRN_FLIPS makes the search for
/// flipped bits longer.

#include "core/store/file_spaces.hpp"
#include "core/verify/verify.hpp"
#include "tests/harness/local_node.hpp"
#include "tests/support/every_fact.hpp"
#include "tests/support/test_database.hpp"
#include "tests/support/test_seed.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <random>

#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

namespace cairn {
namespace {

using namespace harness;
namespace fs = std::filesystem;

class VerifyTest : public testing::Test {
protected:
  static void SetUpTestSuite() { spdlog::set_level(spdlog::level::off); }

  [[nodiscard]] node_settings settings() const {
    auto s = settings_in(scratch_ / "node");
    s.database = database_.connection_string();
    s.max_value_file_bytes = 128U << 10U; // several files
    return s;
  }
  [[nodiscard]] std::string spaces_root() const { return scratch_ / "node/spaces"; }

  struct findings {
    verify_counts counts;
    std::vector<verify_problem> problems;

    [[nodiscard]] bool name(const std::string& file) const {
      return std::ranges::any_of(problems, [&](const auto& problem) { return problem.file == file; });
    }
  };
  [[nodiscard]] findings verify(verify_options options = {}) const {
    findings found;
    options.on_problem = [&](const verify_problem& problem) { found.problems.push_back(problem); };
    const auto s = settings();
    auto counts =
      verify_node(real_disk(), spaces_root(), s.database, {s.cluster_name, s.node_name, s.id}, options);
    if (!counts) // without its spaces, say, it cannot even begin
      found.problems.push_back({counts.error().message, {}, 0, {}, -1});
    else
      found.counts = *counts;
    return found;
  }
  void expect_sound(const char* when) const {
    const auto found = verify();
    EXPECT_EQ(found.problems.size(), 0U)
      << when << ": " << found.problems.front().what << " " << found.problems.front().file << " "
      << found.problems.front().offset_bytes;
    EXPECT_EQ(found.counts.problems, found.problems.size());
    EXPECT_GT(found.counts.sequences, 0U) << when;
  }

  void leave_facts() {
    local_node node(settings());
    ASSERT_EQ(node.start().result, errc::success) << node.start().error_message;
    objects_ = every_fact(*node.attach()).visible();
  }
  /// Value files that hold records, by path.
  [[nodiscard]] std::vector<std::string> value_files() const {
    std::vector<std::string> files;
    for (const auto& entry : fs::recursive_directory_iterator(scratch_ / "node/journal"))
      if (entry.is_regular_file())
        files.push_back(value_file_path(spaces_root(), space_id{1},
                                        value_file_id{std::stoi(entry.path().filename().string())}));
    std::ranges::sort(files);
    return files;
  }
  static void flip(const std::string& path, std::uint64_t bit) {
    std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
    file.seekg(static_cast<std::streamoff>(bit / 8));
    const auto byte = static_cast<char>(file.get() ^ (1 << (bit % 8)));
    file.seekp(static_cast<std::streamoff>(bit / 8));
    file.put(byte);
  }

  scratch_directory scratch_;
  test_database database_;
  std::vector<sample_object> objects_;
};

TEST_F(VerifyTest, SoundNodeIsSound) {
  {
    local_node node(settings());
    ASSERT_EQ(node.start().result, errc::success) << node.start().error_message;
    const auto client = node.attach();
    every_fact facts(*client);
    expect_sound("while it runs");
    node.fail_sync();
    auto again = make_object(*client, "after a fault", {10'000, 10'000});
    EXPECT_NE(archive(*client, again).result, errc::success);
    EXPECT_EQ(archive(*client, again).result, errc::success);
    auto never = make_object(*client, "never repeated", {10'000});
    node.fail_sync();
    EXPECT_NE(archive(*client, never).result, errc::success);
    EXPECT_EQ(archive(*client, make_object(*client, "after that", {10})).result, errc::success);
    expect_sound("after failed syncs");
    node.end_abruptly();
  }
  expect_sound("after a crash");
  { local_node node(settings()); }
  expect_sound("after recovery");
  const auto found = verify();
  EXPECT_GT(found.counts.garbage_records, 0U) << "there was some";
  EXPECT_GT(found.counts.files, 3U);
}

TEST_F(VerifyTest, NodeMayBeginNewValueFilesMeanwhile) {
  local_node node(settings());
  ASSERT_EQ(node.start().result, errc::success) << node.start().error_message;
  const auto client = node.attach();
  every_fact facts(*client);
  const auto files_before = value_files().size();
  verify_options options;
  bool has_grown = false;
  options.on_progress = [&](std::uint64_t, std::uint64_t) {
    if (std::exchange(has_grown, true))
      return;
    for (int i = 0; i < 3; ++i)
      EXPECT_EQ(archive(*client, make_object(*client, "meanwhile", {60'000, 60'000})).result, errc::success);
  };
  const auto found = verify(options);
  EXPECT_GT(value_files().size(), files_before) << "or it shows nothing";
  EXPECT_EQ(found.problems.size(), 0U) << found.problems.front().what << " " << found.problems.front().file;
}

TEST_F(VerifyTest, GoesOnWhereItWasInterrupted) {
  leave_facts();
  const auto all = verify();
  ASSERT_GT(all.counts.files, 3U);
  verify_options rest;
  verify_counts before;
  {
    verify_options first;
    first.on_file = [&](value_file_id file, bool for_good, const verify_counts& counts) {
      if (!for_good || rest.verified_before.size() == 2)
        return;
      rest.verified_before.insert(file);
      before += counts;
    };
    (void)verify(first);
  }
  ASSERT_EQ(rest.verified_before.size(), 2U);
  auto sum = before;
  sum += verify(rest).counts;
  EXPECT_EQ(sum.records, all.counts.records);
  EXPECT_EQ(sum.sequences, all.counts.sequences);
  EXPECT_EQ(sum.bytes, all.counts.bytes);
}

TEST_F(VerifyTest, ReadsNoFasterThanItIsTold) {
  leave_facts();
  std::uint64_t read = 0;
  verify_options slow;
  slow.bytes_per_second = 4U << 20U;
  slow.on_progress = [&](std::uint64_t done, std::uint64_t) { read = done; };
  const auto begun = std::chrono::steady_clock::now();
  (void)verify(slow);
  // Sleeping takes at least as long as it is told: this cannot fail on a slow machine.
  EXPECT_GE(std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count(),
            static_cast<double>(read) / static_cast<double>(slow.bytes_per_second));
  EXPECT_GT(read, 100'000U);
}

TEST_F(VerifyTest, EachFlippedBitIsFound) {
  leave_facts();
  expect_sound("before");
  const auto* wanted = std::getenv("CAIRN_FLIPS");
  const auto seed = test_seed();
  SCOPED_TRACE(testing::Message() << "CAIRN_SEED=" << seed);
  std::mt19937_64 random(seed);
  const auto files = value_files();
  int flips = 0;
  int found = 0;
  for (const auto count = wanted == nullptr ? 150 : std::atoi(wanted); flips < count; ++flips) {
    const auto& file = files[random() % files.size()];
    const auto bit = random() % (fs::file_size(file) * 8);
    flip(file, bit);
    const auto is_found = verify().name(file);
    EXPECT_TRUE(is_found) << file << " bit " << bit;
    found += is_found ? 1 : 0;
    flip(file, bit);
  }
  fmt::print("flipped bits: {} of {} found\n", found, flips);
  expect_sound("afterwards");
}

TEST_F(VerifyTest, EachTruncationIsFound) {
  leave_facts();
  for (const auto& file : value_files()) {
    const auto size = fs::file_size(file);
    const auto kept = read_file(file);
    for (const auto rest : {size - 4096, size - 1, size / 2, std::uint64_t{4096}}) {
      fs::resize_file(file, rest);
      EXPECT_GT(verify().problems.size(), 0U) << file << " cut to " << rest;
      std::ofstream(file, std::ios::binary) << kept;
    }
  }
  expect_sound("afterwards");
}

TEST_F(VerifyTest, EachLieOfARowIsFound) {
  leave_facts();
  database_.query("CREATE SCHEMA kept");
  const std::vector<std::string> tables{"segment",   "segment_sequence", "segment_fence", "meta",
                                        "conjoined", "value_file",       "node",          "file_space"};
  for (const auto& table : tables)
    database_.query(fmt::format("CREATE TABLE kept.{0} AS TABLE cairn.{0}", table));
  const auto one_final = "(SELECT min(id) FROM cairn.segment WHERE status = 'F')";
  const auto one_tombstone = "(SELECT min(id) FROM cairn.segment WHERE status = 'T')";
  const auto set_in = [](const char* row, const char* change) {
    return fmt::format("UPDATE cairn.segment SET {} WHERE id = {}", change, row);
  };
  const auto add_tombstone = [](const char* id) {
    return fmt::format("INSERT INTO cairn.segment (id, collection_id, key, status, unified_id, timestamp,"
                       " segment_num, file_size) SELECT {}, 1, 'plain/0', 'T', max(unified_id) + 1000, now(),"
                       " 1, 0 FROM cairn.segment",
                       id);
  };
  for (const auto& lie : std::vector<std::string>{
         fmt::format("DELETE FROM cairn.segment_sequence WHERE segment_id = {}", one_final),
         fmt::format("UPDATE cairn.segment_sequence SET size = size + 1 WHERE segment_id = {}", one_final),
         fmt::format("UPDATE cairn.segment_sequence SET adler32 = 7 WHERE segment_id = {}", one_final),
         fmt::format(
           "UPDATE cairn.segment_sequence SET hash = decode(repeat('00', 16), 'hex') WHERE segment_id = {}",
           one_final),
         fmt::format("UPDATE cairn.segment_sequence SET value_file_offset = value_file_offset + 8"
                     " WHERE segment_id = {}",
                     one_final),
         fmt::format("UPDATE cairn.segment_sequence SET value_file_id = 99 WHERE segment_id = {}", one_final),
         fmt::format("UPDATE cairn.segment_sequence SET segment_id = 4711 WHERE segment_id = {}", one_final),
         set_in(one_final, "file_size = 5"),
         set_in(one_final, "status = 'A'"),
         set_in(one_final, "status = 'C'"),
         set_in(one_final, "key = 'another'"),
         set_in(one_final, "collection_id = 2"),
         set_in(one_final, "unified_id = unified_id + 1000000007"),
         set_in(one_final, "timestamp = timestamp + interval '1 microsecond'"),
         set_in(one_final, "conjoined_part = 7"),
         set_in(one_final, "segment_num = 7"),
         set_in(one_final, "source_node_id = 2"),
         set_in(one_final, "handoff_node_id = 2"),
         "UPDATE cairn.segment SET handoff_node_id = NULL WHERE status = 'F'",
         "UPDATE cairn.segment SET status = 'F' WHERE status = 'C' AND file_hash IS NOT NULL",
         fmt::format("DELETE FROM cairn.segment WHERE id = {}", one_final),
         fmt::format("DELETE FROM cairn.meta WHERE segment_id = {} AND meta_key = 'empty'", one_final),
         fmt::format("DELETE FROM cairn.meta WHERE segment_id = {}", one_final),
         fmt::format("UPDATE cairn.meta SET meta_value = '' WHERE segment_id = {}", one_final),
         fmt::format("INSERT INTO cairn.meta VALUES (1, {}, 'more', 'x', now())", one_final),
         "DELETE FROM cairn.segment WHERE status = 'T'",
         set_in(one_tombstone, "status = 'C'"),
         set_in(one_tombstone, "key = 'another'"),
         set_in(one_tombstone, "file_tombstone_unified_id = 1"),
         "UPDATE cairn.segment SET file_tombstone_unified_id = NULL WHERE status = 'T'",
         add_tombstone("max(id) + 1000"),
         add_tombstone("(SELECT min(id) FROM cairn.conjoined)"),
         "DELETE FROM cairn.segment_fence",
         "DELETE FROM cairn.conjoined",
         "UPDATE cairn.conjoined SET abort_timestamp = NULL, complete_timestamp = NULL",
         "INSERT INTO cairn.meta VALUES (1, 4711, 'a', 'b', now())",
         "DELETE FROM cairn.node WHERE id = 2",
         "DELETE FROM cairn.file_space",
         "UPDATE cairn.value_file SET size = size + 4096 WHERE id = 1",
         "UPDATE cairn.value_file SET hash = decode(repeat('00', 16), 'hex') WHERE id = 1",
         "DELETE FROM cairn.value_file WHERE id = 1",
         "UPDATE cairn.value_file SET space_id = 2 WHERE id = 1"}) {
    database_.query(lie);
    EXPECT_GT(verify().problems.size(), 0U) << lie;
    for (const auto& table : tables) {
      database_.query("TRUNCATE cairn." + table);
      database_.query(fmt::format("INSERT INTO cairn.{0} SELECT * FROM kept.{0}", table));
    }
  }
  expect_sound("afterwards");
}

TEST_F(VerifyTest, DamageIsFoundByReadersAndTheRestIsRead) {
  leave_facts();
  local_node node(settings());
  ASSERT_EQ(node.start().result, errc::success);
  const auto client = node.attach();
  std::mt19937_64 random(test_seed());
  for (const auto& hurt : objects_) {
    if (hurt.sequences[0].size() < 2)
      continue;
    const auto place = look_up(*client, hurt.segment.key).segments.at(0);
    const auto file = value_file_path(spaces_root(), space_id{1}, place.value_file);
    const auto size = hurt.sequences[0].size();
    for (const auto bit :
         {(place.offset_bytes - 1 - random() % 100) * 8, place.offset_bytes * 8 + random() % (size * 8)}) {
      flip(file, bit);
      EXPECT_EQ(retrieve(*client, hurt.segment.key).result, errc::damaged) << hurt.segment.key << " " << bit;
      EXPECT_EQ(retrieve(*client, hurt.segment.key, {0, 1}).result, errc::damaged)
        << hurt.segment.key << " " << bit;
      flip(file, bit);
      EXPECT_EQ(retrieve(*client, hurt.segment.key).bytes, content_of(hurt));
    }
  }
}

} // namespace
} // namespace cairn
