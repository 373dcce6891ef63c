/// Stored bytes that are damaged, and what an archive of the same segment makes of them.

#include "core/store/file_spaces.hpp"
#include "core/store/rebuild.hpp"
#include "core/verify/verify.hpp"
#include "tests/harness/archives.hpp"
#include "tests/harness/local_node.hpp"
#include "tests/support/test_database.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>

#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

namespace cairn {
namespace {

using namespace harness;

class RepairTest : public testing::Test {
protected:
  static void SetUpTestSuite() { spdlog::set_level(spdlog::level::off); }

  [[nodiscard]] node_settings settings() const { return settings_with(database_.connection_string()); }
  [[nodiscard]] node_settings settings_with(const std::string& database) const {
    auto s = settings_in(scratch_ / "node");
    s.database = database;
    s.max_value_file_bytes = 128U << 10U;
    return s;
  }
  [[nodiscard]] std::string path_of(std::int32_t file) const {
    return value_file_path(scratch_ / "node/spaces", space_id{1}, value_file_id{file});
  }
  void with_node(const std::function<void(client&)>& body) const { with_node(settings(), body); }
  static void with_node(const node_settings& s, const std::function<void(client&)>& body) {
    local_node node(s);
    ASSERT_EQ(node.start().result, errc::success) << node.start().error_message;
    body(*node.attach());
  }

  /// Archives an object of several sequences, and one that stays whole, and stops the node.
  void store() {
    with_node([&](client& by) {
      hurt_ = make_object(by, "hurt", {10'000, 40'000, 500});
      hurt_.meta = {{"color", "green"}};
      whole_ = make_object(by, "whole", {10'000});
      ASSERT_EQ(archive(by, hurt_).result, errc::success);
      ASSERT_EQ(archive(by, whole_).result, errc::success);
    });
  }
  /// A newer file follows theirs, which may be missing then.
  void store_before_newer() {
    store();
    with_node(
      [&](client& by) { ASSERT_EQ(archive(by, make_object(by, "newer", {10})).result, errc::success); });
  }
  /// The row of their file, as it is where the file was never closed.
  void reopen_row() const {
    database_.query("UPDATE cairn.value_file SET close_time = NULL, size = 0, hash = NULL WHERE id = 1");
  }
  [[nodiscard]] std::string known_damage() const {
    return database_.query("SELECT string_agg(key || status || sequence_numbers::text, ' ' ORDER BY key)"
                           " FROM cairn.damaged_segment");
  }
  /// Changes a byte of the data of each sequence of "hurt".
  void rot() const {
    for (const auto number : {0, 1, 2}) {
      const auto at = database_.query("SELECT value_file_offset + 100 FROM cairn.segment_sequence q"
                                      " JOIN cairn.segment s ON s.id = q.segment_id WHERE s.key = 'hurt'"
                                      " AND q.sequence_num = "
                                      + std::to_string(number));
      std::fstream file(path_of(1), std::ios::binary | std::ios::in | std::ios::out);
      file.seekg(std::stoll(at));
      const auto byte = static_cast<char>(file.get() ^ 1);
      file.seekp(std::stoll(at));
      file.put(byte);
    }
  }
  /// Offsets of the sequences of "hurt" in their value file, which is the first.
  [[nodiscard]] std::string places_of_hurt() const {
    return database_.query("SELECT string_agg(value_file_offset::text, ',' ORDER BY sequence_num)"
                           " FROM cairn.segment_sequence q JOIN cairn.segment s ON s.id = q.segment_id"
                           " WHERE s.key = 'hurt'");
  }
  void set_back_rows(const std::string& places) const {
    database_.query(
      "UPDATE cairn.segment_sequence q SET value_file_id = 1, value_file_offset = (string_to_array('" + places
      + "', ',')::int8[])[q.sequence_num + 1]"
        " FROM cairn.segment s WHERE s.id = q.segment_id AND s.key = 'hurt'");
  }
  [[nodiscard]] receipt receipt_of_hurt(client& by) const {
    return ask<lookup_reply>(by, lookup{{}, hurt_.segment.collection, "hurt", {}, true}).segments.at(0).proof;
  }
  void expect_whole(client& by, const char* when) const {
    for (const auto* object : {&hurt_, &whole_}) {
      const auto back = retrieve(by, object->segment.key);
      EXPECT_EQ(back.result, errc::success) << when << ": " << object->segment.key;
      EXPECT_EQ(back.bytes, content_of(*object)) << when << ": " << object->segment.key;
      EXPECT_EQ(back.first.meta, object->meta) << when << ": " << object->segment.key;
    }
  }
  [[nodiscard]] std::vector<verify_problem> verify() const {
    std::vector<verify_problem> problems;
    verify_options options;
    options.on_problem = [&](const verify_problem& problem) { problems.push_back(problem); };
    const auto s = settings();
    const auto counts = verify_node(real_disk(), scratch_ / "node/spaces", s.database,
                                    {s.cluster_name, s.node_name, s.id}, options);
    EXPECT_TRUE(counts) << counts.error().message;
    return problems;
  }
  void expect_rebuilt() const {
    const test_database made;
    rebuild_options options;
    options.node = {scratch_ / "node", made.connection_string(), {}};
    const auto rebuilt = rebuild_database(real_disk(), options);
    ASSERT_TRUE(rebuilt) << rebuilt.error().message;
    with_node(settings_with(made.connection_string()), [&](client& by) { expect_whole(by, "rebuilt"); });
  }
  /// A start finds that the place of both is lost, says so, and archives mend them.
  void expect_found_and_mended(const std::string& damage, int regions) const {
    local_node node(settings());
    ASSERT_EQ(node.start().result, errc::success) << node.start().error_message;
    EXPECT_EQ(node.start().recovery.damaged_regions, regions);
    EXPECT_EQ(known_damage(), damage);
    const auto by = node.attach();
    EXPECT_EQ(archive(*by, hurt_).result, errc::success);
    EXPECT_EQ(archive(*by, whole_).result, errc::success);
    expect_whole(*by, "stored anew");
  }
  [[nodiscard]] std::string noted() const {
    return database_.query("SELECT sequence_numbers FROM cairn.damaged_segment");
  }

  scratch_directory scratch_;
  test_database database_;
  sample_object hurt_, whole_;
};

TEST_F(RepairTest, DamagedSegmentIsStoredAnew) {
  store();
  rot();
  with_node([&](client& by) {
    EXPECT_EQ(retrieve(by, "hurt").result, errc::damaged);
    EXPECT_EQ(noted(), "{0,1,2}");
    EXPECT_EQ(ask<archive_reply>(by, final_of(hurt_)).result, errc::damaged)
      << "a final alone has not the bytes";
    const auto reply = archive(by, hurt_);
    EXPECT_EQ(reply.result, errc::success) << reply.error_message;
    EXPECT_EQ(noted(), "");
    expect_whole(by, "after the repair");
    const auto held = receipt_of_hurt(by);
    EXPECT_EQ(held.lsn, reply.proof.lsn) << "the receipt is that of the final behind the new bytes";
    EXPECT_EQ(held.offset_bytes, reply.proof.offset_bytes);
    EXPECT_EQ(archive(by, hurt_).result, errc::success) << "a repeat";
    EXPECT_EQ(receipt_of_hurt(by).lsn, held.lsn) << "it moved nothing";
  });
  with_node([&](client& by) { expect_whole(by, "after a restart"); });
}

/// The header of the last sequence's record is damaged, and no reader but one who asks for the receipt was
/// there.
TEST_F(RepairTest, DamageThatALookUpFindsIsMendedToo) {
  store();
  const auto at = std::stoll(database_.query("SELECT value_file_offset - 8 FROM cairn.segment_sequence q"
                                             " JOIN cairn.segment s ON s.id = q.segment_id"
                                             " WHERE s.key = 'hurt' AND q.sequence_num = 2"));
  std::fstream(path_of(1), std::ios::binary | std::ios::in | std::ios::out).seekp(at).write("rotten", 6);
  with_node([&](client& by) {
    EXPECT_EQ(ask<lookup_reply>(by, lookup{{}, hurt_.segment.collection, "hurt", {}, true}).result,
              errc::damaged);
    EXPECT_EQ(noted(), "{2}");
    EXPECT_EQ(archive(by, hurt_).result, errc::success);
    expect_whole(by, "after the repair");
  });
}

/// The header of a record in a file that no stop closed: the start goes through it.
TEST_F(RepairTest, DamageThatAStartFindsIsMendedBeforeAnyRead) {
  {
    local_node node(settings());
    auto by = node.attach();
    hurt_ = make_object(*by, "hurt", {10'000, 40'000, 500});
    whole_ = make_object(*by, "whole", {10'000});
    ASSERT_EQ(archive(*by, hurt_).result, errc::success);
    ASSERT_EQ(archive(*by, whole_).result, errc::success);
    by.reset();
    node.end_abruptly();
  }
  const auto at = std::stoll(database_.query("SELECT value_file_offset - 8 FROM cairn.segment_sequence q"
                                             " JOIN cairn.segment s ON s.id = q.segment_id"
                                             " WHERE s.key = 'hurt' AND q.sequence_num = 1"));
  std::fstream(path_of(1), std::ios::binary | std::ios::in | std::ios::out).seekp(at).write("rotten", 6);
  with_node([&](client& by) {
    EXPECT_EQ(noted(), "{1}");
    EXPECT_EQ(archive(by, hurt_).result, errc::success);
    EXPECT_EQ(noted(), "");
    expect_whole(by, "after the repair");
  });
}

TEST_F(RepairTest, RepairOutlivesACrashAndTheLossOfItsCommit) {
  store();
  rot();
  {
    local_node node(settings());
    auto by = node.attach();
    EXPECT_EQ(retrieve(*by, "hurt").result, errc::damaged);
    const auto position = database_.query("SELECT lsn FROM cairn.log_position");
    const auto places = places_of_hurt();
    EXPECT_EQ(archive(*by, hurt_).result, errc::success);
    by.reset();
    node.end_abruptly();
    // As if the repair had not been committed: the rows as they were, and the position with them.
    set_back_rows(places);
    database_.query("INSERT INTO cairn.damaged_segment (collection_id, key, status, unified_id, timestamp,"
                    " segment_num, conjoined_part, handoff_node_id, sequence_numbers)"
                    " SELECT collection_id, key, 'D', unified_id, timestamp, segment_num, conjoined_part, 0,"
                    " '{0,1,2}' FROM cairn.segment WHERE key = 'hurt'");
    database_.query("UPDATE cairn.log_position SET lsn = " + position);
  }
  with_node([&](client& by) {
    expect_whole(by, "after the replay");
    EXPECT_EQ(noted(), "");
  });
}

TEST_F(RepairTest, RebuildMakesTheRepairedRowsToo) {
  store();
  rot();
  with_node([&](client& by) {
    EXPECT_EQ(retrieve(by, "hurt").result, errc::damaged);
    EXPECT_EQ(archive(by, hurt_).result, errc::success);
  });
  const test_database made;
  rebuild_options options;
  options.node = {scratch_ / "node", made.connection_string(), {}};
  const auto rebuilt = rebuild_database(real_disk(), options);
  ASSERT_TRUE(rebuilt) << rebuilt.error().message;
  for (const test_database* of : {static_cast<const test_database*>(&database_), &made})
    of->query("UPDATE cairn.value_file SET close_time = creation_time"); // known to nobody but the database
  EXPECT_EQ(made.dump(), database_.dump());
  EXPECT_EQ(made.query("SELECT count(*) FROM cairn.damaged_segment"), "0");
  with_node(settings_with(made.connection_string()), [&](client& by) { expect_whole(by, "rebuilt"); });
}

/// The second half of a segment is lost with its value file: what is left of its first records makes no
/// final.
TEST_F(RepairTest, RebuildKnowsARepairedSegmentWhoseRecordsAreLostInPart) {
  with_node([&](client& by) {
    hurt_ = make_object(by, "hurt", {60'000, 100'000, 500});
    whole_ = make_object(by, "whole", {10'000});
    ASSERT_EQ(archive(by, hurt_).result, errc::success);
    ASSERT_EQ(archive(by, whole_).result, errc::success);
  });
  const auto lost =
    std::stoi(database_.query("SELECT max(value_file_id) FROM cairn.segment_sequence q"
                              " JOIN cairn.segment s ON s.id = q.segment_id WHERE s.key = 'hurt'"));
  ASSERT_GT(lost, 1);
  with_node(
    [&](client& by) { ASSERT_EQ(archive(by, make_object(by, "newer", {10})).result, errc::success); });
  std::filesystem::remove(path_of(lost));
  with_node([&](client& by) {
    EXPECT_EQ(retrieve(by, "hurt").result, errc::damaged);
    (void)retrieve(by, "whole");
    EXPECT_EQ(archive(by, hurt_).result, errc::success);
    EXPECT_EQ(archive(by, whole_).result, errc::success);
    expect_whole(by, "stored anew");
  });
  expect_rebuilt();
}

/// All of it is lost, and an upload that was given up before it could mend anything now comes first in the
/// log.
TEST_F(RepairTest, RebuildLetsNoUploadThatWasGivenUpStandBeforeARepair) {
  store_before_newer();
  std::filesystem::remove(path_of(1));
  with_node([&](client& by) {
    EXPECT_EQ(retrieve(by, "hurt").result, errc::damaged);
    (void)retrieve(by, "whole");
    EXPECT_EQ(ask<archive_reply>(by, start_of(hurt_)).result, errc::success);
  }); // and the node stops
  with_node([&](client& by) {
    EXPECT_EQ(archive(by, hurt_).result, errc::success);
    EXPECT_EQ(archive(by, whole_).result, errc::success);
  });
  expect_rebuilt();
}

/// All of it is lost, and an archive of other content that was refused while it was whole now comes first in
/// the log.
TEST_F(RepairTest, RebuildLetsNoArchiveThatWasRefusedStandBeforeARepair) {
  store();
  with_node([&](client& by) {
    auto other = make_object(by, "hurt", {20'000});
    other.segment = hurt_.segment;
    EXPECT_EQ(archive(by, other).result, errc::duplicate_segment);
  });
  std::filesystem::remove(path_of(1));
  with_node([&](client& by) {
    EXPECT_EQ(retrieve(by, "hurt").result, errc::damaged);
    (void)retrieve(by, "whole");
    EXPECT_EQ(archive(by, hurt_).result, errc::success);
    EXPECT_EQ(archive(by, whole_).result, errc::success);
  });
  expect_rebuilt();
}

/// What repaired it is lost as well.
TEST_F(RepairTest, SegmentIsRepairedAgainAndRebuilt) {
  store();
  for (int time = 0; time < 2; ++time) {
    with_node(
      [&](client& by) { ASSERT_EQ(archive(by, make_object(by, "newer", {10})).result, errc::success); });
    const auto files = database_.query("SELECT string_agg(DISTINCT value_file_id::text, ' ') FROM"
                                       " cairn.segment_sequence q JOIN cairn.segment s ON s.id = q.segment_id"
                                       " WHERE s.key IN ('hurt', 'whole')");
    std::istringstream in(files);
    for (std::int32_t file = 0; in >> file;)
      std::filesystem::remove(path_of(file));
    with_node([&](client& by) {
      EXPECT_EQ(retrieve(by, "hurt").result, errc::damaged);
      EXPECT_EQ(retrieve(by, "whole").result, errc::damaged);
      EXPECT_EQ(archive(by, hurt_).result, errc::success);
      EXPECT_EQ(archive(by, whole_).result, errc::success);
      expect_whole(by, "repaired");
    });
  }
  expect_rebuilt();
}

TEST_F(RepairTest, WhatAMissingValueFileHeldIsStoredAnew) {
  store_before_newer();
  std::filesystem::remove(path_of(1));
  with_node([&](client& by) {
    EXPECT_EQ(known_damage(), "hurtM{0,1,2} wholeM{0}");
    EXPECT_EQ(archive(by, hurt_).result, errc::success) << "nobody had to read it";
    EXPECT_EQ(archive(by, whole_).result, errc::success);
    expect_whole(by, "stored anew");
    EXPECT_EQ(noted(), "");
  });
  with_node([&](client&) { EXPECT_EQ(noted(), "") << "nothing points to that file any more"; });
}

/// A file whose disk failed is never closed in its node's life.
TEST_F(RepairTest, WhatAMissingFileHeldThatWasNeverClosedIsStoredAnew) {
  store_before_newer();
  reopen_row();
  std::filesystem::remove(path_of(1));
  expect_found_and_mended("hurtM{0,1,2} wholeM{0}", 1);
  with_node([&](client&) { EXPECT_EQ(noted(), ""); });
}

TEST_F(RepairTest, WhatLayBehindTheEndOfAFileCutShortIsStoredAnew) {
  store_before_newer();
  reopen_row();
  std::filesystem::resize_file(path_of(1), file_header_bytes);
  expect_found_and_mended("hurtD{0,1,2} wholeD{0}", 2); // the cut, and what rows point to behind it
}

TEST_F(RepairTest, CopyForAnotherNodeIsRepairedAsWell) {
  archive_key_entire copy;
  with_node([&](client& by) {
    ASSERT_EQ(ask<archive_reply>(by, add_node{{}, node_id{2}, "away", "10.0.0.2", 4160}).result,
              errc::success);
    hurt_ = make_object(by, "hurt", {1'000});
    copy = entire_of(hurt_);
    copy.nodes.handoff = "away";
    ASSERT_EQ(ask<archive_reply>(by, copy).result, errc::success);
  });
  const auto at = std::stoll(database_.query("SELECT value_file_offset FROM cairn.segment_sequence"));
  std::fstream(path_of(1), std::ios::binary | std::ios::in | std::ios::out).seekp(at).write("rotten", 6);
  with_node([&](client& by) {
    retrieve_start question;
    question.segment = named_segment_key{copy.segment.version, 0, 1, "away"};
    EXPECT_EQ(retrieve(by, question).result, errc::damaged);
    EXPECT_EQ(ask<archive_reply>(by, copy).result, errc::success);
    EXPECT_EQ(retrieve(by, question).bytes, content_of(hurt_));
  });
}

TEST_F(RepairTest, VerifyKnowsRepairedRowsAndFindsLies) {
  store();
  rot();
  const auto old_place = places_of_hurt();
  with_node([&](client& by) {
    EXPECT_EQ(retrieve(by, "hurt").result, errc::damaged);
    EXPECT_EQ(archive(by, hurt_).result, errc::success);
  });
  const auto found = verify();
  EXPECT_EQ(found.size(), 3U);
  for (const auto& problem : found) {
    EXPECT_EQ(problem.file, path_of(1));
    EXPECT_NE(problem.what.find("no row points here"), std::string::npos) << problem.what;
  }
  set_back_rows(old_place); // as if the database had forgotten the repair
  EXPECT_EQ(std::ranges::count_if(verify(),
                                  [](const auto& problem) {
                                    return problem.what.find("not those that were archived")
                                             != std::string::npos
                                           && problem.what.find("no row points here") == std::string::npos;
                                  }),
            3);
  database_.query("DELETE FROM cairn.segment WHERE key = 'hurt'");
  EXPECT_EQ(std::ranges::count_if(verify(),
                                  [](const auto& problem) {
                                    return problem.what.find("knows nothing of this repair record")
                                           != std::string::npos;
                                  }),
            1);
}

TEST_F(RepairTest, VerifyFindsRowsThatPointToAnotherSegmentsRecord) {
  store();
  with_node([&](client& by) {
    auto twin = make_object(by, "twin", {10'000});
    twin.sequences = whole_.sequences;
    twin.file = whole_.file;
    EXPECT_EQ(archive(by, twin).result, errc::success);
  });
  EXPECT_EQ(verify().size(), 0U);
  database_.query("UPDATE cairn.segment_sequence q SET value_file_id = o.value_file_id,"
                  " value_file_offset = o.value_file_offset"
                  " FROM cairn.segment s, cairn.segment t, cairn.segment_sequence o"
                  " WHERE s.id = q.segment_id AND t.id = o.segment_id"
                  " AND (s.key, t.key) IN (('whole', 'twin'), ('twin', 'whole'))");
  EXPECT_EQ(std::ranges::count_if(verify(),
                                  [](const auto& problem) {
                                    return problem.what.find("a row of another segment points here")
                                           != std::string::npos;
                                  }),
            2);
}

} // namespace
} // namespace cairn
