/// Paths, checks, choice, scan and creation, over the memory disk.

#include "core/store/file_spaces.hpp"
#include "tests/support/memory_disk.hpp"

#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace cairn {

namespace {

constexpr std::uint64_t mebibyte = 1ULL << 20;
const std::string root = "/node/spaces";

file_space space(std::int32_t id, const std::string& path, space_purpose purpose = space_purpose::journal) {
  return {space_id{id}, purpose, path, "disk" + std::to_string(id), timestamp_us{1}};
}

class FileSpacesTest : public testing::Test {
protected:
  FileSpacesTest() {
    disk_.set_up_directory(root);
    disk_.set_up_volume("/mnt/1", 1000 * mebibyte);
    disk_.set_up_volume("/mnt/2", 1000 * mebibyte);
    disk_.set_up_volume("/mnt/3", 1000 * mebibyte);
  }

  /// Prepares the spaces and returns them with a small reserve.
  file_spaces prepared(std::vector<file_space> spaces, space_reserve reserve = {5, mebibyte}) {
    for (const auto& each : spaces) {
      auto outcome = file_spaces::prepare(disk_, root, each);
      EXPECT_TRUE(outcome) << outcome.error().message;
    }
    return {disk_, root, std::move(spaces), reserve};
  }

  /// Takes space on a volume.
  void fill(const std::string& volume, std::uint64_t size_bytes) {
    static_cast<void>(disk_.remove(volume + "/filler"));
    auto file = disk_.create(volume + "/filler", io_mode::buffered);
    ASSERT_TRUE(file);
    ASSERT_TRUE((*file)->preallocate(size_bytes));
  }

  void touch(const std::string& path) { ASSERT_TRUE(disk_.create(path, io_mode::buffered)); }

  void expect_conflict(const result<void>& outcome, std::vector<std::string> texts) {
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().code, errc::conflict);
    for (const auto& text : texts)
      EXPECT_NE(outcome.error().message.find(text), std::string::npos) << outcome.error().message;
  }

  memory_disk disk_;
};

} // namespace

// -- paths and reserve

TEST_F(FileSpacesTest, PathHasTheBucketAndEightDigits) {
  EXPECT_EQ(value_file_path("/r", space_id{3}, value_file_id{1}), "/r/3/001/00000001");
  EXPECT_EQ(value_file_path("/r", space_id{3}, value_file_id{2000}), "/r/3/000/00002000");
  EXPECT_EQ(value_file_path("/r", space_id{12}, value_file_id{99999999}), "/r/12/999/99999999");
  EXPECT_EQ(value_file_path("/r", space_id{12}, value_file_id{2147483647}), "/r/12/647/2147483647");
}

TEST_F(FileSpacesTest, ReserveIsTheLargerOfShareAndMinimum) {
  const space_reserve usual;
  EXPECT_EQ(usual.of(10ULL << 30), 1ULL << 30);
  EXPECT_EQ(usual.of(100'000'000'000'000), 5'000'000'000'000U);
  EXPECT_EQ((space_reserve{0, 17}).of(1000), 17U);
}

// -- first start

TEST_F(FileSpacesTest, PreparedSpaceSurvivesACrash) {
  auto spaces = prepared({space(1, "/mnt/1/cairn"), space(2, "/mnt/2/cairn")});
  disk_.crash_losing_unsynced();
  EXPECT_TRUE(spaces.check());
  EXPECT_EQ(disk_.read_symlink(root + "/1"), "/mnt/1/cairn");
}

TEST_F(FileSpacesTest, PrepareAtAnyPowerCutCanBeRepeated) {
  for (std::uint64_t step = 0; step < 6; ++step)
    for (std::uint64_t seed = 0; seed < 10; ++seed) {
      SCOPED_TRACE(fmt::format("step {} seed {}", step, seed));
      memory_disk disk;
      disk.set_up_directory(root);
      disk.set_up_directory("/mnt/1");
      disk.cut_power_after(step);
      static_cast<void>(file_spaces::prepare(disk, root, space(1, "/mnt/1/cairn")));
      disk.crash(seed);
      ASSERT_TRUE(file_spaces::prepare(disk, root, space(1, "/mnt/1/cairn")));
      disk.crash_losing_unsynced();
      ASSERT_TRUE(file_spaces(disk, root, {space(1, "/mnt/1/cairn")}, {}).check());
    }
}

TEST_F(FileSpacesTest, PrepareSyncsWhatAKilledProcessMade) {
  ASSERT_TRUE(disk_.make_directory("/mnt/1/cairn"));
  ASSERT_TRUE(disk_.make_symlink("/mnt/1/cairn", root + "/1"));
  disk_.kill_process();
  auto spaces = prepared({space(1, "/mnt/1/cairn")});
  disk_.crash_losing_unsynced();
  EXPECT_TRUE(spaces.check());
}

TEST_F(FileSpacesTest, PrepareMakesNoParents) {
  EXPECT_EQ(file_spaces::prepare(disk_, root, space(1, "/mnt/absent/cairn")).error().code, errc::not_found);
}

TEST_F(FileSpacesTest, PrepareRefusesWhatCannotBeASpace) {
  EXPECT_EQ(file_spaces::prepare(disk_, root, space(0, "/mnt/1/cairn")).error().code, errc::invalid_message);
  EXPECT_EQ(file_spaces::prepare(disk_, root, space(1, "mnt/1/cairn")).error().code, errc::invalid_message);
  touch("/mnt/1/file");
  EXPECT_EQ(file_spaces::prepare(disk_, root, space(1, "/mnt/1/file")).error().code, errc::conflict);
}

TEST_F(FileSpacesTest, PrepareLeavesAnotherSpacesLinkAlone) {
  prepared({space(1, "/mnt/1/cairn")});
  expect_conflict(file_spaces::prepare(disk_, root, space(1, "/mnt/2/cairn")),
                  {"/mnt/1/cairn", "/mnt/2/cairn"});
  EXPECT_EQ(disk_.read_symlink(root + "/1"), "/mnt/1/cairn");
}

TEST_F(FileSpacesTest, PreparePassesOnEachFailure) {
  for (const auto operation : {disk_operation::make_directory, disk_operation::make_symlink}) {
    disk_.inject({.operation = operation, .code = errc::no_space});
    EXPECT_EQ(file_spaces::prepare(disk_, root, space(1, "/mnt/1/cairn")).error().code, errc::no_space);
  }
  for (std::uint64_t nth = 1; nth <= 3; ++nth) {
    disk_.inject({.operation = disk_operation::sync_directory, .nth = nth});
    EXPECT_EQ(file_spaces::prepare(disk_, root, space(1, "/mnt/1/cairn")).error().code, errc::storage_error);
    EXPECT_EQ(disk_.faults_left(), 0U);
  }
}

TEST_F(FileSpacesTest, PrepareTrustsNoNameWhoseSyncFailed) {
  for (std::uint64_t nth = 1; nth <= 3; ++nth) {
    memory_disk disk;
    for (const auto& directory : {root, std::string{"/mnt/1"}})
      disk.set_up_directory(directory);
    disk.inject({.operation = disk_operation::sync_directory, .nth = nth});
    EXPECT_EQ(file_spaces::prepare(disk, root, space(1, "/mnt/1/cairn")).error().code, errc::storage_error);
    disk.kill_process();
    ASSERT_TRUE(file_spaces::prepare(disk, root, space(1, "/mnt/1/cairn")));
    disk.crash_losing_unsynced();
    EXPECT_TRUE(file_spaces(disk, root, {space(1, "/mnt/1/cairn")}, {}).check()) << "sync " << nth;
  }
}

// -- every start

TEST_F(FileSpacesTest, CheckNamesAMissingLink) {
  auto spaces = prepared({space(1, "/mnt/1/cairn"), space(2, "/mnt/2/cairn")});
  ASSERT_TRUE(spaces.check());
  ASSERT_TRUE(disk_.remove(root + "/2"));
  expect_conflict(spaces.check(), {"file space 2", root + "/2", "/mnt/2/cairn", "missing"});
}

TEST_F(FileSpacesTest, CheckNamesALinkToElsewhere) {
  auto spaces = prepared({space(1, "/mnt/1/cairn")});
  ASSERT_TRUE(disk_.remove(root + "/1"));
  ASSERT_TRUE(disk_.make_symlink("/mnt/3", root + "/1"));
  expect_conflict(spaces.check(), {"file space 1", root + "/1", "/mnt/3", "/mnt/1/cairn"});
}

TEST_F(FileSpacesTest, CheckNamesWhatIsNoLink) {
  ASSERT_TRUE(disk_.make_directory(root + "/1"));
  expect_conflict(file_spaces(disk_, root, {space(1, "/mnt/1")}, {}).check(),
                  {"file space 1", "no symlink", "/mnt/1"});
}

TEST_F(FileSpacesTest, CheckNamesAVolumeThatIsNotThere) {
  ASSERT_TRUE(disk_.make_symlink("/mnt/9/cairn", root + "/1"));
  expect_conflict(file_spaces(disk_, root, {space(1, "/mnt/9/cairn")}, {}).check(),
                  {"/mnt/9/cairn", "disk1"});
}

TEST_F(FileSpacesTest, CheckTellsAFailingDiskFromAConflict) {
  auto spaces = prepared({space(1, "/mnt/1/cairn")});
  disk_.inject({.operation = disk_operation::read_symlink});
  EXPECT_EQ(spaces.check().error().code, errc::storage_error);
  disk_.inject({.operation = disk_operation::list_directory});
  EXPECT_EQ(spaces.check().error().code, errc::storage_error);
}

// -- choice of a space

TEST_F(FileSpacesTest, ChoosesTheJournalSpaceWithMostRoom) {
  auto spaces = prepared(
    {space(1, "/mnt/1/cairn"), space(2, "/mnt/2/cairn"), space(3, "/mnt/3/cairn", space_purpose::storage)});
  fill("/mnt/1", 200 * mebibyte);
  fill("/mnt/2", 100 * mebibyte);
  EXPECT_EQ(spaces.choose_journal_space(), space_id{2});
  fill("/mnt/2", 300 * mebibyte);
  EXPECT_EQ(spaces.choose_journal_space(), space_id{1});
}

TEST_F(FileSpacesTest, PrefersASpaceAboveItsReserveToALargerOneBelow) {
  disk_.set_capacity("/mnt/1", 100'000 * mebibyte); // reserve 5000 MiB
  auto spaces = prepared({space(1, "/mnt/1/cairn"), space(2, "/mnt/2/cairn")});
  fill("/mnt/1", 96'000 * mebibyte);
  fill("/mnt/2", 500 * mebibyte);
  EXPECT_EQ(spaces.choose_journal_space(), space_id{2});
}

TEST_F(FileSpacesTest, BelowTheReserveThereIsNoSpaceUntilSomeIsFreed) {
  auto spaces = prepared({space(1, "/mnt/1/cairn")});
  fill("/mnt/1", 950 * mebibyte); // 50 MiB left: the reserve itself
  EXPECT_TRUE(spaces.check_reserve(space_id{1}));
  EXPECT_EQ(spaces.choose_journal_space(), space_id{1});
  fill("/mnt/1", 950 * mebibyte + 1);
  EXPECT_EQ(spaces.check_reserve(space_id{1}).error().code, errc::no_space);
  EXPECT_EQ(spaces.choose_journal_space().error().code, errc::no_space);
  fill("/mnt/1", 100 * mebibyte);
  EXPECT_TRUE(spaces.check_reserve(space_id{1}));
  EXPECT_TRUE(spaces.choose_journal_space());
}

TEST_F(FileSpacesTest, ConfiguredMinimumCountsOnSmallVolumes) {
  auto spaces = prepared({space(1, "/mnt/1/cairn")}, {5, 800 * mebibyte});
  fill("/mnt/1", 300 * mebibyte);
  EXPECT_EQ(spaces.check_reserve(space_id{1}).error().code, errc::no_space);
}

TEST_F(FileSpacesTest, SkipsASpaceThatCannotBeAsked) {
  auto spaces = prepared({space(1, "/mnt/1/cairn"), space(2, "/mnt/2/cairn")});
  disk_.inject(
    {.operation = disk_operation::space_at, .times = disk_fault::forever, .path_contains = root + "/1"});
  EXPECT_EQ(spaces.choose_journal_space(), space_id{2});
  EXPECT_EQ(spaces.check_reserve(space_id{1}).error().code, errc::storage_error);
  disk_.inject({.operation = disk_operation::space_at, .path_contains = root + "/2"});
  EXPECT_EQ(spaces.choose_journal_space().error().code, errc::storage_error);
}

TEST_F(FileSpacesTest, WithoutAJournalSpaceThereIsNoSpace) {
  EXPECT_EQ(prepared({space(1, "/mnt/1/cairn", space_purpose::storage)}).choose_journal_space().error().code,
            errc::no_space);
}

// -- scan

TEST_F(FileSpacesTest, ScanFindsTheValueFilesOfAllSpaces) {
  auto spaces = prepared({space(1, "/mnt/1/cairn"), space(2, "/mnt/2/cairn", space_purpose::storage)});
  for (const auto& [where, id] : std::vector<std::pair<int, int>>{{2, 7}, {1, 1007}, {1, 7}, {1, 123456789}})
    ASSERT_TRUE(spaces.create_value_file(space_id{where}, value_file_id{id}, io_mode::buffered));
  auto found = spaces.scan();
  ASSERT_TRUE(found);
  std::string text;
  for (const auto& file : found->files)
    text += fmt::format("{}@{}:{} ", file.id.value, file.space.value, file.path.substr(root.size()));
  EXPECT_EQ(text,
            "7@1:/1/007/00000007 7@2:/2/007/00000007 1007@1:/1/007/00001007 123456789@1:/1/789/123456789 ");
  EXPECT_TRUE(found->unknown.empty());
}

TEST_F(FileSpacesTest, ScanReportsEverythingElse) {
  auto spaces = prepared({space(1, "/mnt/1/cairn")});
  ASSERT_TRUE(spaces.create_value_file(space_id{1}, value_file_id{7}, io_mode::buffered));
  const auto base = root + "/1/";
  for (const auto* name : {"note", "007/00000007.bak", "007/7", "007/00000008", "007/000000007",
                           "007/-0000007", "007/99999999007", "007/+0000007", "008"})
    touch(base + name);
  for (const auto* name : {"lost+found", "1000", "07", "007/00002007", "000"})
    ASSERT_TRUE(disk_.make_directory(base + name));
  touch(base + "000/00000000");
  ASSERT_TRUE(disk_.make_symlink("/mnt/3", root + "/3"));
  touch(root + "/stray");
  auto found = spaces.scan();
  ASSERT_TRUE(found);
  EXPECT_EQ(found->files.size(), 1U);
  std::string text;
  for (const auto& path : found->unknown)
    text += path.substr(root.size()) + " ";
  EXPECT_EQ(text,
            "/3 /stray /1/000/00000000 /1/007/+0000007 /1/007/-0000007 /1/007/000000007 /1/007/00000007.bak "
            "/1/007/00000008 /1/007/00002007 /1/007/7 /1/007/99999999007 /1/008 /1/07 /1/1000 "
            "/1/lost+found /1/note ");
}

TEST_F(FileSpacesTest, ScanFailsRatherThanLeaveADirectoryOut) {
  auto spaces = prepared({space(1, "/mnt/1/cairn")});
  ASSERT_TRUE(spaces.create_value_file(space_id{1}, value_file_id{7}, io_mode::buffered));
  for (std::uint64_t nth = 1; nth <= 3; ++nth) {
    disk_.inject({.operation = disk_operation::list_directory, .nth = nth});
    EXPECT_EQ(spaces.scan().error().code, errc::storage_error);
  }
  EXPECT_TRUE(spaces.scan());
}

// -- creation

TEST_F(FileSpacesTest, CreatedFileSurvivesACrash) {
  auto spaces = prepared({space(1, "/mnt/1/cairn")});
  auto made = spaces.create_value_file(space_id{1}, value_file_id{7}, io_mode::buffered);
  ASSERT_TRUE(made);
  EXPECT_EQ(made->path, root + "/1/007/00000007");
  ASSERT_TRUE(spaces.create_value_file(space_id{1}, value_file_id{1007}, io_mode::buffered));
  disk_.crash_losing_unsynced();
  EXPECT_EQ(spaces.scan()->files.size(), 2U);
}

TEST_F(FileSpacesTest, BucketOfAKilledProcessIsSyncedBeforeUse) {
  auto before = prepared({space(1, "/mnt/1/cairn")});
  ASSERT_TRUE(disk_.make_directory(root + "/1/007"));
  disk_.kill_process();
  file_spaces after(disk_, root, before.all(), {5, mebibyte});
  ASSERT_TRUE(after.create_value_file(space_id{1}, value_file_id{7}, io_mode::buffered));
  disk_.crash_losing_unsynced();
  EXPECT_EQ(after.scan()->files.size(), 1U);
}

TEST_F(FileSpacesTest, BucketIsSyncedOnceAProcess) {
  auto spaces = prepared({space(1, "/mnt/1/cairn")});
  const auto before = disk_.count(disk_operation::sync_directory);
  ASSERT_TRUE(spaces.create_value_file(space_id{1}, value_file_id{7}, io_mode::buffered));
  EXPECT_EQ(disk_.count(disk_operation::sync_directory), before + 3)
    << "bucket, space, bucket again for the file";
  ASSERT_TRUE(spaces.create_value_file(space_id{1}, value_file_id{1007}, io_mode::buffered));
  EXPECT_EQ(disk_.count(disk_operation::sync_directory), before + 4);
}

TEST_F(FileSpacesTest, NoIdIsGivenToTwoFiles) {
  auto spaces = prepared({space(1, "/mnt/1/cairn")});
  ASSERT_TRUE(spaces.create_value_file(space_id{1}, value_file_id{7}, io_mode::buffered));
  EXPECT_EQ(spaces.create_value_file(space_id{1}, value_file_id{7}, io_mode::buffered).error().code,
            errc::conflict);
}

TEST_F(FileSpacesTest, BucketWhoseSyncFailedIsNotUsedAgain) {
  for (std::uint64_t nth = 1; nth <= 2; ++nth) {
    auto spaces = prepared({space(1, "/mnt/1/cairn")});
    const auto id = static_cast<std::int32_t>(nth);
    disk_.inject({.operation = disk_operation::sync_directory, .nth = nth});
    EXPECT_EQ(spaces.create_value_file(space_id{1}, value_file_id{id}, io_mode::buffered).error().code,
              errc::storage_error);
    EXPECT_EQ(spaces.create_value_file(space_id{1}, value_file_id{id + 1000}, io_mode::buffered).error().code,
              errc::storage_error);
    ASSERT_TRUE(spaces.create_value_file(space_id{1}, value_file_id{id + 10}, io_mode::buffered));
    disk_.crash_losing_unsynced();
    EXPECT_EQ(spaces.scan()->files.size(), nth) << "one by each round";
  }
}

TEST_F(FileSpacesTest, NextProcessMakesABucketAnewWhoseSyncFailed) {
  for (std::int32_t nth = 1; nth <= 2; ++nth) {
    auto spaces = prepared({space(1, "/mnt/1/cairn")});
    disk_.inject({.operation = disk_operation::sync_directory, .nth = static_cast<std::uint64_t>(nth)});
    EXPECT_FALSE(spaces.create_value_file(space_id{1}, value_file_id{nth}, io_mode::buffered));
    disk_.kill_process();
    file_spaces next(disk_, root, spaces.all(), {});
    ASSERT_TRUE(next.create_value_file(space_id{1}, value_file_id{nth + 1000}, io_mode::buffered));
    disk_.crash_losing_unsynced();
    EXPECT_EQ(next.scan()->files.size(), static_cast<std::size_t>(nth));
  }
}

TEST_F(FileSpacesTest, CreationPassesOnEachFailureAndTheNextIdWorks) {
  auto spaces = prepared({space(1, "/mnt/1/cairn")});
  const auto create = [&](std::int32_t id) {
    const auto made = spaces.create_value_file(space_id{1}, value_file_id{id}, io_mode::direct);
    return made ? errc::success : made.error().code;
  };
  disk_.inject({.operation = disk_operation::make_directory, .code = errc::no_space});
  EXPECT_EQ(create(1), errc::no_space);
  disk_.inject({.operation = disk_operation::create, .code = errc::no_space});
  EXPECT_EQ(create(2), errc::no_space);
  disk_.inject({.operation = disk_operation::sync_directory, .nth = 3});
  EXPECT_EQ(create(3), errc::storage_error);
  EXPECT_EQ(create(4), errc::success);
  disk_.crash_losing_unsynced();
  ASSERT_EQ(spaces.scan()->files.size(), 1U);
  EXPECT_EQ(spaces.scan()->files.front().id, value_file_id{4});
}

} // namespace cairn
