/// `cairn verify` where what it finds depends on several value files: rows that records further on explain,
/// runs that were interrupted, files that the disk does not give.

#include "core/store/file_spaces.hpp"
#include "core/verify/verify.hpp"
#include "tests/harness/archives.hpp"
#include "tests/harness/local_node.hpp"
#include "tests/harness/program.hpp"
#include "tests/support/test_database.hpp"

#include <algorithm>
#include <filesystem>
#include <functional>
#include <set>
#include <utility>

#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

namespace cairn {
namespace {

using namespace harness;
namespace fs = std::filesystem;

/// The real disk; of one file some bytes cannot be read, and another one cannot be opened.
class spoiled_disk final : public disk {
public:
  std::string unopenable;
  std::string spoiled;
  std::uint64_t unreadable_offset = 0; ///< of one byte

  result<std::unique_ptr<disk_file>> open_for_read(const std::string& path) override {
    if (path == unopenable)
      return fail(errc::storage_error, path + ": open failed: Permission denied");
    auto opened = below_.open_for_read(path);
    if (opened && path == spoiled)
      return std::make_unique<file>(std::move(*opened), unreadable_offset);
    return opened;
  }
  result<std::unique_ptr<disk_file>> create(const std::string& path, io_mode mode) override {
    return below_.create(path, mode);
  }
  result<std::unique_ptr<disk_file>> open_for_repair(const std::string& path) override {
    return below_.open_for_repair(path);
  }
  result<bool> make_directory(const std::string& path) override { return below_.make_directory(path); }
  result<void> sync_directory(const std::string& path) override { return below_.sync_directory(path); }
  result<std::vector<directory_entry>> list_directory(const std::string& path) override {
    return below_.list_directory(path);
  }
  result<void> remove(const std::string& path) override { return below_.remove(path); }
  result<void> remove_directory(const std::string& path) override { return below_.remove_directory(path); }
  result<void> make_symlink(const std::string& target, const std::string& path) override {
    return below_.make_symlink(target, path);
  }
  result<std::string> read_symlink(const std::string& path) override { return below_.read_symlink(path); }
  result<volume_space> space_at(const std::string& path) override { return below_.space_at(path); }

private:
  class file final : public disk_file {
  public:
    file(std::unique_ptr<disk_file> below, std::uint64_t unreadable)
        : below_(std::move(below)), unreadable_(unreadable) {}
    result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> out) const override {
      if (offset <= unreadable_ && unreadable_ < offset + out.size())
        return fail(errc::storage_error, "pread failed: Input/output error");
      return below_->read_at(offset, out);
    }
    result<void> write_at(std::uint64_t offset, std::span<const std::byte> data) override {
      return below_->write_at(offset, data);
    }
    result<void> sync() override { return below_->sync(); }
    result<std::uint64_t> size() const override { return below_->size(); }
    result<bool> preallocate(std::uint64_t end) override { return below_->preallocate(end); }
    result<void> release_preallocation() override { return below_->release_preallocation(); }

  private:
    std::unique_ptr<disk_file> below_;
    const std::uint64_t unreadable_;
  };

  disk& below_ = real_disk();
};

class VerifyRowsTest : public testing::Test {
protected:
  static void SetUpTestSuite() { spdlog::set_level(spdlog::level::off); }

  struct findings {
    verify_counts counts;
    std::vector<verify_problem> problems;

    [[nodiscard]] std::string text() const {
      std::string all;
      for (const auto& problem : problems)
        all += problem.file + " " + problem.segment.key + ": " + problem.what + "\n";
      return all;
    }
    [[nodiscard]] bool name(const std::string& file) const {
      return std::ranges::any_of(problems, [&](const auto& problem) { return problem.file == file; });
    }
  };

  [[nodiscard]] node_settings settings() const {
    auto s = settings_in(scratch_ / "node");
    s.database = database_.connection_string();
    s.max_value_file_bytes = 128U << 10U;
    return s;
  }
  findings verify(verify_options options = {}, disk& disk = real_disk()) const {
    findings found;
    options.on_problem = [&](const verify_problem& problem) { found.problems.push_back(problem); };
    const auto s = settings();
    auto counts =
      verify_node(disk, scratch_ / "node/spaces", s.database, {s.cluster_name, s.node_name, s.id}, options);
    EXPECT_TRUE(counts) << counts.error().message;
    if (counts)
      found.counts = *counts;
    EXPECT_EQ(found.counts.problems, found.problems.size());
    return found;
  }
  void expect_sound() const {
    const auto found = verify();
    EXPECT_EQ(found.text(), "");
    EXPECT_GT(found.counts.records, 0U);
  }
  [[nodiscard]] std::string path_of(value_file_id file) const {
    return value_file_path(scratch_ / "node/spaces", space_id{1}, file);
  }
  program_outcome verify_with_state(const std::string& state) const {
    return run_program({program_path("cairn"), "verify", "--data-dir", scratch_ / "node", "--database",
                        database_.connection_string(), "--state", state});
  }

  /// Runs a node, which is stopped in order.
  void with_node(const std::function<void(client&)>& body) const {
    local_node node(settings());
    ASSERT_EQ(node.start().result, errc::success) << node.start().error_message;
    body(*node.attach());
  }
  template <class Request>
  static archive_reply must(client& by, Request request) {
    auto reply = ask<archive_reply>(by, std::move(request));
    EXPECT_EQ(reply.result, errc::success) << reply.error_message;
    return reply;
  }
  /// Whatever comes next lies in another value file, which has room.
  static void fill_file(client& by) {
    const auto file_of_next = [&] {
      return must(by, entire_of(make_object(by, "filling", {30'000}))).proof.value_file;
    };
    for (const auto begun = file_of_next(); file_of_next() == begun;)
      continue;
  }
  static archive_key_entire copy_for_another(client& by, const std::string& key) {
    must(by, add_node{{}, node_id{2}, "away", "10.0.0.2", 4160});
    auto copy = entire_of(make_object(by, key, {1'000}));
    copy.nodes.handoff = "away";
    return copy;
  }
  static purge purge_of(const archive_key_entire& copy) {
    return {{}, {{copy.segment.version, copy.segment.conjoined_part, copy.segment.segment_num, "away"}}};
  }

  scratch_directory scratch_;
  test_database database_;
};

/// What a run leaves behind that ends after it was told of so many files.
struct interrupted_run {
  std::set<value_file_id> done;
  verify_counts counts;

  [[nodiscard]] verify_options stop_after(int files) {
    verify_options options;
    options.on_file = [this, left = files](value_file_id file, bool for_good,
                                           const verify_counts& of_file) mutable {
      if (left-- <= 0 || !for_good)
        return;
      done.insert(file);
      counts += of_file;
    };
    return options;
  }
};

// --- interruptions ---

TEST_F(VerifyRowsTest, InterruptionAnywhereMakesNoProblem) {
  with_node([](client& by) {
    const auto copy = copy_for_another(by, "copy");
    const auto copied = must(by, copy);
    fill_file(by);
    const auto purged = must(by, purge_of(copy));
    ASSERT_NE(copied.proof.value_file, purged.proof.value_file) << "or it shows nothing";
    fill_file(by);
  });
  const auto all = verify();
  ASSERT_EQ(all.text(), "");
  ASSERT_GE(all.counts.files, 3U);
  bool some_left_out = false;
  for (int files = 0; files <= static_cast<int>(all.counts.files); ++files) {
    interrupted_run first;
    (void)verify(first.stop_after(files));
    some_left_out = some_left_out || (!first.done.empty() && first.done.size() < all.counts.files);
    verify_options rest;
    rest.verified_before = first.done;
    const auto found = verify(rest);
    EXPECT_EQ(found.text(), "") << "interrupted after " << files << " files";
    auto sum = first.counts;
    sum += found.counts;
    EXPECT_EQ(sum.files, all.counts.files) << files;
    EXPECT_EQ(sum.records, all.counts.records) << files;
    EXPECT_EQ(sum.sequences, all.counts.sequences) << files;
    EXPECT_EQ(sum.bytes, all.counts.bytes) << files;
  }
  EXPECT_TRUE(some_left_out) << "a run that goes on reads less";
}

TEST_F(VerifyRowsTest, LossIsFoundAfterAnInterruptionAnywhere) {
  std::string file;
  with_node([&](client& by) {
    const auto copy = copy_for_another(by, "copy");
    must(by, copy);
    fill_file(by);
    const auto purged = must(by, purge_of(copy));
    const auto lost = must(by, entire_of(make_object(by, "lost", {1'000})));
    ASSERT_EQ(purged.proof.value_file, lost.proof.value_file) << "one question goes, another comes";
    file = path_of(lost.proof.value_file);
    fill_file(by);
  });
  const std::string lost = "(SELECT id FROM cairn.segment WHERE key = 'lost')";
  database_.query("DELETE FROM cairn.segment_sequence WHERE segment_id = " + lost);
  database_.query("DELETE FROM cairn.segment WHERE id = " + lost);
  const auto all = verify();
  ASSERT_TRUE(all.name(file)) << all.text();
  for (int files = 0; files <= static_cast<int>(all.counts.files); ++files) {
    interrupted_run first;
    (void)verify(first.stop_after(files));
    verify_options rest;
    rest.verified_before = first.done;
    EXPECT_TRUE(verify(rest).name(file)) << "interrupted after " << files << " files";
  }
}

TEST_F(VerifyRowsTest, EmptyStateFileIsAFreshStart) {
  with_node([](client& by) { must(by, entire_of(make_object(by, "kept", {1'000}))); });
  write_file(scratch_ / "state", "");
  const auto verified = verify_with_state(scratch_ / "state");
  EXPECT_EQ(verified.exit_code, 0) << verified.errors << verified.output;
  EXPECT_FALSE(fs::exists(scratch_ / "state")) << "all is done";
}

TEST_F(VerifyRowsTest, UnusableStateFileIsNoDamageOfTheNode) {
  with_node([](client& by) { must(by, entire_of(make_object(by, "kept", {1'000}))); });
  fs::create_directory(scratch_ / "directory");
  write_file(scratch_ / "text", "{\"kind\": \"something else\"}");
  write_file(scratch_ / "cut", "{\"kind\": \"cairn-ver");
  for (const auto* state : {"directory", "text", "cut"}) {
    const auto refused = verify_with_state(scratch_ / state);
    EXPECT_EQ(refused.exit_code, 1) << state << ": " << refused.errors;
    EXPECT_NE(refused.errors.find(scratch_ / state), std::string::npos) << refused.errors;
    EXPECT_TRUE(fs::exists(scratch_ / state)) << "it is somebody's";
  }
}

// --- rows that other records explain ---

TEST_F(VerifyRowsTest, CancelExplainsTheRowOfAnEarlierFile) {
  with_node([](client& by) {
    const auto object = make_object(by, "cancelled", {1'000});
    const auto stored = must(by, entire_of(object));
    fill_file(by);
    const auto cancelled = must(by, archive_key_cancel{{}, object.key()});
    ASSERT_NE(stored.proof.value_file, cancelled.proof.value_file) << "or it shows nothing";
  });
  expect_sound();
}

TEST_F(VerifyRowsTest, PurgeThatIsNotInTheRowsIsFound) {
  with_node([&](client& by) {
    const auto copy = copy_for_another(by, "copy");
    must(by, copy);
    database_.query("CREATE SCHEMA kept");
    for (const std::string table : {"segment", "segment_sequence"})
      database_.query("CREATE TABLE kept." + table + " AS TABLE cairn." + table);
    must(by, purge_of(copy));
  });
  expect_sound();
  for (const std::string table : {"segment", "segment_sequence"})
    database_.query("INSERT INTO cairn." + table + " TABLE kept." + table);
  const auto found = verify();
  ASSERT_EQ(found.problems.size(), 1U) << found.text();
  EXPECT_NE(found.problems[0].what.find("purge"), std::string::npos) << found.text();
}

TEST_F(VerifyRowsTest, CopyThatCameAgainAfterItsPurgeIsSound) {
  with_node([](client& by) {
    const auto copy = copy_for_another(by, "copy");
    must(by, copy);
    must(by, purge_of(copy));
    fill_file(by);
    must(by, copy);
    EXPECT_EQ(ask<handoff_reply>(by, list_handoffs{{}, "away", {}, 10}).handoffs.size(), 1U);
  });
  expect_sound();
}

TEST_F(VerifyRowsTest, NumberOfATombstoneThatLostMayBeGivenOutAgain) {
  with_node([](client& by) {
    auto gone = delete_of(by, make_object(by, "gone", {1}));
    must(by, gone);
    must(by, gone); // loses against the first: its number is in no row when the node starts again
  });
  with_node([](client& by) { must(by, entire_of(make_object(by, "after", {1'000}))); });
  expect_sound();
}

TEST_F(VerifyRowsTest, WhatAnotherFileExplainsMeanwhileIsNoProblem) {
  with_node([&](client& by) {
    fill_file(by);
    const auto copy = copy_for_another(by, "copy");
    const auto last_file = must(by, copy).proof.value_file;
    verify_options options;
    bool is_purged = false;
    options.on_progress = [&](std::uint64_t, std::uint64_t) { // of the first file: its snapshot is taken
      if (std::exchange(is_purged, true))
        return;
      fill_file(by);
      EXPECT_GT(must(by, purge_of(copy)).proof.value_file, last_file) << "or it shows nothing";
    };
    const auto found = verify(options);
    EXPECT_TRUE(is_purged);
    EXPECT_EQ(found.text(), "");
  });
}

// --- files that cannot be read ---

TEST_F(VerifyRowsTest, FileWithoutAHeaderIsAProblemAndTheOthersAreRead) {
  value_file_id file;
  with_node([&](client& by) {
    file = must(by, entire_of(make_object(by, "in the first", {1'000}))).proof.value_file;
    fill_file(by);
    must(by, entire_of(make_object(by, "in the last", {1'000})));
  });
  const auto sound = verify();
  ASSERT_EQ(sound.text(), "");
  auto bytes = read_file(path_of(file));
  bytes.replace(0, 4096, 4096, 'x');
  write_file(path_of(file), bytes);
  const auto found = verify();
  ASSERT_EQ(found.problems.size(), 1U) << found.text();
  EXPECT_EQ(found.problems[0].file, path_of(file));
  EXPECT_NE(found.problems[0].what.find("damaged"), std::string::npos) << found.text();
  EXPECT_EQ(found.counts.files, sound.counts.files);
  EXPECT_GE(found.counts.sequences, 2U) << "of the others";
}

TEST_F(VerifyRowsTest, FileThatCannotBeOpenedIsAProblemAndTheOthersAreRead) {
  spoiled_disk disk;
  with_node([&](client& by) {
    disk.unopenable = path_of(must(by, entire_of(make_object(by, "in the first", {1'000}))).proof.value_file);
    fill_file(by);
    must(by, entire_of(make_object(by, "in the last", {1'000})));
  });
  const auto found = verify({}, disk);
  ASSERT_EQ(found.problems.size(), 1U) << found.text();
  EXPECT_EQ(found.problems[0].file, disk.unopenable);
  EXPECT_NE(found.problems[0].what.find("storage_error"), std::string::npos) << found.text();
  EXPECT_NE(found.problems[0].what.find("Permission denied"), std::string::npos) << found.text();
  EXPECT_GE(found.counts.sequences, 2U) << "of the others";
}

TEST_F(VerifyRowsTest, RunThatGoesOnLeavesOutAFileThatCannotBeOpened) {
  spoiled_disk disk;
  with_node([&](client& by) {
    disk.unopenable = path_of(must(by, entire_of(make_object(by, "in the first", {1'000}))).proof.value_file);
    fill_file(by);
  });
  interrupted_run first;
  (void)verify(first.stop_after(2), disk);
  EXPECT_EQ(first.done.size(), 2U);
  EXPECT_EQ(first.counts.problems, 1U) << "it is remembered";
  verify_options rest;
  rest.verified_before = first.done;
  EXPECT_EQ(verify(rest, disk).text(), "");
}

TEST_F(VerifyRowsTest, BytesThatCannotBeReadAreOneProblemAndTheRestIsRead) {
  spoiled_disk disk;
  with_node([&](client& by) {
    const auto hurt = make_object(by, "hurt", {60'000});
    must(by, entire_of(hurt));
    must(by, entire_of(make_object(by, "behind it", {1'000})));
    const auto place = look_up(by, "hurt").segments.at(0);
    disk.spoiled = path_of(place.value_file);
    disk.unreadable_offset = place.offset_bytes + 30'000;
  });
  const auto sound = verify();
  ASSERT_EQ(sound.text(), "");
  const auto found = verify({}, disk);
  ASSERT_EQ(found.problems.size(), 1U) << found.text();
  EXPECT_EQ(found.problems[0].file, disk.spoiled);
  EXPECT_EQ(found.problems[0].segment.key, "hurt");
  EXPECT_NE(found.problems[0].what.find("Input/output error"), std::string::npos) << found.text();
  EXPECT_EQ(found.counts.sequences, sound.counts.sequences);
}

} // namespace
} // namespace cairn
