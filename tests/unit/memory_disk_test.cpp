/// What the memory disk loses in a crash, and how it fails on demand.

#include "tests/support/memory_disk.hpp"

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace cairn {

namespace {

using bytes = std::vector<std::byte>;

bytes filled(std::size_t size_bytes, int fill) { return bytes(size_bytes, static_cast<std::byte>(fill)); }

/// CAIRN_SEED repeats a run.
std::uint64_t start_seed() {
  const auto* given = std::getenv("CAIRN_SEED");
  const auto seed = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  std::cout << "CAIRN_SEED=" << seed << '\n';
  return seed;
}

class MemoryDiskTest : public testing::Test {
protected:
  std::unique_ptr<disk_file> made(const std::string& path) {
    auto file = disk_.create(path, io_mode::buffered);
    EXPECT_TRUE(file) << file.error().message;
    return std::move(*file);
  }

  /// A file whose name is durable.
  std::unique_ptr<disk_file> made_durable(const std::string& path) {
    auto file = made(path);
    EXPECT_TRUE(disk_.sync_directory(path.substr(0, path.rfind('/') + 1)));
    return file;
  }

  bytes content(const std::string& path) {
    auto file = disk_.open_for_read(path);
    EXPECT_TRUE(file) << file.error().message;
    if (!file)
      return {};
    bytes all((*file)->size().value());
    EXPECT_EQ((*file)->read_at(0, all), all.size());
    return all;
  }

  bool exists(const std::string& path) { return disk_.open_for_read(path).has_value(); }

  memory_disk disk_;
};

} // namespace

// -- crash: bytes

TEST_F(MemoryDiskTest, CrashKeepsWhatWasSyncedAndMayLoseTheRest) {
  auto file = made_durable("/file");
  ASSERT_TRUE(file->write_at(0, filled(100, 1)));
  ASSERT_TRUE(file->sync());
  ASSERT_TRUE(file->write_at(50, filled(100, 2)));
  EXPECT_EQ(disk_.synced_bytes("/file"), filled(100, 1));
  disk_.crash_losing_unsynced();
  EXPECT_EQ(content("/file"), filled(100, 1));
}

TEST_F(MemoryDiskTest, KillLosesHandlesButNoBytes) {
  auto file = made_durable("/file");
  ASSERT_TRUE(file->write_at(0, filled(100, 1)));
  disk_.kill_process();
  EXPECT_EQ(file->sync().error().code, errc::storage_error);
  EXPECT_EQ(content("/file"), filled(100, 1));
  disk_.crash_losing_unsynced();
  EXPECT_EQ(content("/file"), bytes());
}

TEST_F(MemoryDiskTest, SyncByALaterProcessMakesEarlierBytesDurable) {
  auto file = made_durable("/file");
  ASSERT_TRUE(file->write_at(0, filled(100, 1)));
  disk_.kill_process();
  ASSERT_TRUE(disk_.open_for_repair("/file").value()->sync());
  disk_.crash_losing_unsynced();
  EXPECT_EQ(content("/file"), filled(100, 1));
}

TEST_F(MemoryDiskTest, DeadHandleFailsEveryCall) {
  auto file = made_durable("/file");
  ASSERT_TRUE(file->write_at(0, filled(10, 1)));
  disk_.crash_losing_unsynced();
  const auto counted = disk_.count_all();
  bytes out(10);
  EXPECT_EQ(file->write_at(0, filled(10, 2)).error().code, errc::storage_error);
  EXPECT_EQ(file->sync().error().code, errc::storage_error);
  EXPECT_EQ(file->read_at(0, out).error().code, errc::storage_error);
  EXPECT_EQ(file->size().error().code, errc::storage_error);
  EXPECT_EQ(file->preallocate(4096).error().code, errc::storage_error);
  EXPECT_EQ(file->release_preallocation().error().code, errc::storage_error);
  EXPECT_EQ(disk_.count_all(), counted);
  EXPECT_EQ(content("/file"), bytes());
}

TEST_F(MemoryDiskTest, HandleMayOutliveTheDisk) {
  auto disk = std::make_unique<memory_disk>();
  auto file = disk->create("/file", io_mode::buffered);
  ASSERT_TRUE(file);
  disk.reset();
  EXPECT_TRUE((*file)->write_at(0, filled(10, 1)));
}

TEST_F(MemoryDiskTest, UnsyncedWriteIsDroppedKeptOrTornBySeed) {
  constexpr std::size_t grains = 4;
  std::set<std::string> outcomes;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    memory_disk disk;
    auto file = disk.create("/file", io_mode::buffered).value();
    ASSERT_TRUE(disk.sync_directory("/"));
    ASSERT_TRUE(file->write_at(0, filled(grains * 4096, 1)));
    ASSERT_TRUE(file->sync());
    ASSERT_TRUE(file->write_at(0, filled(grains * 4096, 2)));
    disk.crash(seed);
    const auto after = disk.synced_bytes("/file");
    ASSERT_EQ(after.size(), grains * 4096);
    std::set<std::byte> kinds(after.begin(), after.end());
    std::size_t changes_in_pages = 0;
    for (std::size_t i = 512; i < after.size(); i += 512)
      changes_in_pages += i % 4096 != 0 && after[i] != after[i - 1];
    outcomes.insert(kinds.size() == 1      ? (kinds.contains(std::byte{1}) ? "dropped" : "kept")
                    : changes_in_pages > 0 ? "torn between sectors"
                                           : "torn between pages");
  }
  EXPECT_EQ(outcomes,
            (std::set<std::string>{"dropped", "kept", "torn between sectors", "torn between pages"}));
}

TEST_F(MemoryDiskTest, SizeMayReachTheDiskBeforeTheData) {
  std::set<std::size_t> sizes;
  bool found_zeros = false;
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    memory_disk disk;
    auto file = disk.create("/file", io_mode::buffered).value();
    ASSERT_TRUE(disk.sync_directory("/"));
    ASSERT_TRUE(file->write_at(0, filled(2048, 1)));
    disk.crash(seed);
    const auto after = disk.synced_bytes("/file");
    ASSERT_LE(after.size(), 2048U);
    sizes.insert(after.size());
    found_zeros = found_zeros || (!after.empty() && after.back() == std::byte{0});
  }
  EXPECT_TRUE(sizes.contains(0));
  EXPECT_TRUE(sizes.contains(2048));
  EXPECT_GT(sizes.size(), 2U);
  EXPECT_TRUE(found_zeros);
}

TEST_F(MemoryDiskTest, EqualSeedsCrashEqually) {
  const auto run = [](std::uint64_t seed) {
    memory_disk disk;
    std::vector<bytes> found;
    std::vector<std::unique_ptr<disk_file>> files;
    for (int i = 0; i < 10; ++i) {
      files.push_back(disk.create("/" + std::to_string(i), io_mode::buffered).value());
      EXPECT_TRUE(files.back()->write_at(0, filled(5000, i)));
    }
    disk.crash(seed);
    const auto entries = disk.list_directory("/").value();
    for (const auto& entry : entries)
      found.push_back(disk.synced_bytes("/" + entry.name));
    return found;
  };
  std::set<std::vector<bytes>> different;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const auto first = run(seed);
    EXPECT_EQ(first, run(seed)) << "seed " << seed;
    different.insert(first);
  }
  EXPECT_GT(different.size(), 1U);
}

/// The law of crashes: each sector is as it was at the last sync or after any later write to it; the size is
/// between the synced and the visible one; what was synced and not written since is untouched.
TEST_F(MemoryDiskTest, AnyCrashLeavesEachSectorInOneOfItsStates) {
  constexpr std::size_t sector_bytes = 512;
  constexpr std::size_t max_bytes = 6 * 4096;
  const auto first_seed = start_seed();
  for (std::uint64_t seed = first_seed; seed < first_seed + 300; ++seed) {
    SCOPED_TRACE(testing::Message() << "CAIRN_SEED=" << seed);
    std::mt19937_64 random(seed);
    memory_disk disk;
    auto file = disk.create("/file", io_mode::buffered).value();
    ASSERT_TRUE(disk.sync_directory("/"));
    bytes model(max_bytes); // zeros past its size
    std::size_t size = 0;
    std::size_t synced_size = 0;
    std::vector<bytes> states{model}; // since the last sync
    for (int step = 0; step < 12; ++step) {
      if (random() % 4 == 0) {
        ASSERT_TRUE(file->sync());
        states = {model};
        synced_size = size;
        continue;
      }
      const auto offset = random() % max_bytes;
      const auto length = 1 + random() % std::min<std::size_t>(9000, max_bytes - offset);
      const auto data = filled(length, static_cast<int>(1 + random() % 255));
      ASSERT_TRUE(file->write_at(offset, data));
      std::copy(data.begin(), data.end(), model.begin() + static_cast<std::ptrdiff_t>(offset));
      size = std::max(size, offset + length);
      states.push_back(model);
    }
    disk.crash(seed);
    auto after = disk.synced_bytes("/file");
    ASSERT_GE(after.size(), synced_size);
    ASSERT_LE(after.size(), size);
    after.resize(max_bytes);
    for (std::size_t begin = 0; begin < max_bytes; begin += sector_bytes) {
      const auto is_state = [&](const bytes& state) {
        const auto from = after.begin() + static_cast<std::ptrdiff_t>(begin);
        return std::equal(from, from + sector_bytes, state.begin() + static_cast<std::ptrdiff_t>(begin));
      };
      ASSERT_TRUE(std::any_of(states.begin(), states.end(), is_state)) << "sector at " << begin;
    }
  }
}

// -- failed syncs

TEST_F(MemoryDiskTest, FailedSyncIsNotMadeGoodByALaterOne) {
  auto file = made_durable("/file");
  ASSERT_TRUE(file->write_at(0, filled(100, 1)));
  ASSERT_TRUE(file->sync());
  ASSERT_TRUE(file->write_at(0, filled(100, 2)));
  disk_.inject({.operation = disk_operation::sync});
  EXPECT_EQ(file->sync().error().code, errc::storage_error);
  EXPECT_EQ(content("/file"), filled(100, 2));
  EXPECT_TRUE(file->sync());
  EXPECT_EQ(content("/file"), filled(100, 2));
  disk_.crash_losing_unsynced();
  EXPECT_EQ(content("/file"), filled(100, 1));
}

TEST_F(MemoryDiskTest, WhatAFailedSyncDroppedMayStillTurnUp) {
  std::set<bytes> found;
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    memory_disk disk;
    auto file = disk.create("/file", io_mode::buffered).value();
    ASSERT_TRUE(disk.sync_directory("/"));
    ASSERT_TRUE(file->write_at(0, filled(100, 1)));
    disk.inject({.operation = disk_operation::sync});
    EXPECT_FALSE(file->sync());
    EXPECT_TRUE(file->sync());
    disk.crash(seed);
    found.insert(disk.synced_bytes("/file"));
  }
  EXPECT_TRUE(found.contains(bytes()));
  EXPECT_TRUE(found.contains(filled(100, 1)));
}

TEST_F(MemoryDiskTest, DroppedBytesNeverOverwriteNewerSyncedOnes) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    memory_disk disk;
    auto file = disk.create("/file", io_mode::buffered).value();
    ASSERT_TRUE(disk.sync_directory("/"));
    ASSERT_TRUE(file->write_at(0, filled(3000, 1)));
    disk.inject({.operation = disk_operation::sync});
    EXPECT_FALSE(file->sync());
    ASSERT_TRUE(file->write_at(1000, filled(1000, 2)));
    ASSERT_TRUE(file->sync());
    disk.crash(seed);
    const auto after = disk.synced_bytes("/file");
    ASSERT_GE(after.size(), 2000U);
    EXPECT_TRUE(std::equal(after.begin() + 1000, after.begin() + 2000, filled(1000, 2).begin()))
      << "seed " << seed;
  }
}

TEST_F(MemoryDiskTest, FailedDirectorySyncIsNotMadeGoodByALaterOne) {
  made("/file");
  disk_.inject({.operation = disk_operation::sync_directory});
  EXPECT_EQ(disk_.sync_directory("/").error().code, errc::storage_error);
  EXPECT_TRUE(disk_.sync_directory("/"));
  EXPECT_TRUE(exists("/file"));
  disk_.crash_losing_unsynced();
  EXPECT_FALSE(exists("/file"));
}

// -- crash: names

TEST_F(MemoryDiskTest, NameNeedsItsDirectorySynced) {
  auto file = made("/file");
  ASSERT_TRUE(file->write_at(0, filled(10, 1)));
  ASSERT_TRUE(file->sync());
  ASSERT_TRUE(disk_.make_symlink("file", "/link"));
  ASSERT_TRUE(disk_.make_directory("/directory"));
  disk_.crash_losing_unsynced();
  EXPECT_TRUE(disk_.list_directory("/")->empty());
}

TEST_F(MemoryDiskTest, NameWithoutBytesIsAnEmptyFile) {
  auto file = made_durable("/file");
  ASSERT_TRUE(file->write_at(0, filled(10, 1)));
  disk_.crash_losing_unsynced();
  EXPECT_EQ(content("/file"), bytes());
}

TEST_F(MemoryDiskTest, LostDirectoryTakesItsEntriesWithIt) {
  ASSERT_TRUE(disk_.make_directory("/directory"));
  made_durable("/directory/file");
  disk_.crash_losing_unsynced();
  EXPECT_FALSE(disk_.list_directory("/directory"));
}

TEST_F(MemoryDiskTest, UnsyncedRemovalIsUndone) {
  auto file = made_durable("/file");
  ASSERT_TRUE(file->write_at(0, filled(10, 1)));
  ASSERT_TRUE(file->sync());
  ASSERT_TRUE(disk_.remove("/file"));
  disk_.crash_losing_unsynced();
  EXPECT_EQ(content("/file"), filled(10, 1));
}

TEST_F(MemoryDiskTest, SyncedRemovalStays) {
  made_durable("/file");
  ASSERT_TRUE(disk_.remove("/file"));
  ASSERT_TRUE(disk_.sync_directory("/"));
  disk_.crash_losing_unsynced();
  EXPECT_FALSE(exists("/file"));
}

TEST_F(MemoryDiskTest, UnsyncedNamesAreKeptOrLostBySeedEachForItself) {
  std::map<std::string, int> outcomes;
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    memory_disk disk;
    ASSERT_TRUE(disk.create("/old", io_mode::buffered));
    ASSERT_TRUE(disk.sync_directory("/"));
    ASSERT_TRUE(disk.remove("/old"));
    ASSERT_TRUE(disk.create("/new", io_mode::buffered));
    ASSERT_TRUE(disk.make_symlink("new", "/link"));
    disk.crash(seed);
    std::string names;
    const auto entries = disk.list_directory("/").value();
    for (const auto& entry : entries)
      names += entry.name + " ";
    ++outcomes[names];
  }
  EXPECT_EQ(outcomes.size(), 8U) << "each of three changes on its own";
}

TEST_F(MemoryDiskTest, ChangesOfOneNameReachTheDiskInOrder) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    memory_disk disk;
    ASSERT_TRUE(disk.make_symlink("first", "/name"));
    ASSERT_TRUE(disk.sync_directory("/"));
    ASSERT_TRUE(disk.remove("/name"));
    ASSERT_TRUE(disk.make_symlink("second", "/name"));
    disk.crash(seed);
    const auto target = disk.read_symlink("/name");
    if (target) {
      EXPECT_TRUE(*target == "first" || *target == "second");
    }
  }
}

// -- power cut at a chosen step

TEST_F(MemoryDiskTest, PowerCutStopsEveryCallUntilTheCrash) {
  auto file = made_durable("/file");
  disk_.cut_power_after(1);
  EXPECT_FALSE(disk_.power_is_cut());
  ASSERT_TRUE(file->write_at(0, filled(10, 1)));
  EXPECT_TRUE(disk_.power_is_cut());
  EXPECT_EQ(file->sync().error().code, errc::storage_error);
  EXPECT_EQ(disk_.sync_directory("/").error().code, errc::storage_error);
  EXPECT_EQ(disk_.list_directory("/").error().code, errc::storage_error);
  EXPECT_EQ(disk_.create("/other", io_mode::buffered).error().code, errc::storage_error);
  disk_.crash_losing_unsynced();
  EXPECT_FALSE(disk_.power_is_cut());
  EXPECT_EQ(content("/file"), bytes());
}

// -- faults

TEST_F(MemoryDiskTest, EveryKindOfOperationFailsByName) {
  auto file = made_durable("/file");
  ASSERT_TRUE(disk_.make_symlink("file", "/link"));
  bytes out(1);
  const auto attempt = [&](disk_operation operation) {
    const auto code_of = [](const auto& outcome) { return outcome ? errc::success : outcome.error().code; };
    switch (operation) {
      case disk_operation::create: return code_of(disk_.create("/new", io_mode::buffered));
      case disk_operation::open: return code_of(disk_.open_for_read("/file"));
      case disk_operation::write: return code_of(file->write_at(0, filled(1, 1)));
      case disk_operation::sync: return code_of(file->sync());
      case disk_operation::read: return code_of(file->read_at(0, out));
      case disk_operation::size: return code_of(file->size());
      case disk_operation::preallocate: return code_of(file->preallocate(1));
      case disk_operation::release_preallocation: return code_of(file->release_preallocation());
      case disk_operation::make_directory: return code_of(disk_.make_directory("/directory"));
      case disk_operation::sync_directory: return code_of(disk_.sync_directory("/"));
      case disk_operation::list_directory: return code_of(disk_.list_directory("/"));
      case disk_operation::remove: return code_of(disk_.remove("/new"));
      case disk_operation::remove_directory: return code_of(disk_.remove_directory("/directory"));
      case disk_operation::make_symlink: return code_of(disk_.make_symlink("x", "/new link"));
      case disk_operation::read_symlink: return code_of(disk_.read_symlink("/link"));
      case disk_operation::space_at: return code_of(disk_.space_at("/"));
    }
    return errc::internal_error;
  };
  for (std::size_t i = 0; i < disk_operation_count; ++i) {
    const auto operation = static_cast<disk_operation>(i);
    SCOPED_TRACE(to_string(operation));
    const auto counted = disk_.count(operation);
    disk_.inject({.operation = operation, .code = errc::damaged});
    EXPECT_EQ(attempt(operation), errc::damaged);
    EXPECT_EQ(disk_.faults_left(), 0U);
    EXPECT_EQ(attempt(operation), errc::success);
    EXPECT_EQ(disk_.count(operation), counted + 2);
  }
}

TEST_F(MemoryDiskTest, FaultCountsItsOwnOperationsOnly) {
  auto file = made("/file");
  auto other = made("/other");
  disk_.inject({.operation = disk_operation::write, .nth = 2, .times = 2, .path_contains = "file"});
  EXPECT_TRUE(file->write_at(0, filled(1, 1)));
  EXPECT_TRUE(other->write_at(0, filled(1, 1)));
  EXPECT_TRUE(other->write_at(0, filled(1, 1)));
  EXPECT_TRUE(file->sync());
  EXPECT_FALSE(file->write_at(0, filled(1, 1)));
  EXPECT_FALSE(file->write_at(0, filled(1, 1)));
  EXPECT_TRUE(file->write_at(0, filled(1, 1)));
}

TEST_F(MemoryDiskTest, LastingFaultEndsWhenCleared) {
  disk_.inject({.operation = disk_operation::create, .code = errc::no_space, .times = disk_fault::forever});
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(disk_.create("/file", io_mode::buffered).error().code, errc::no_space);
  EXPECT_EQ(disk_.faults_left(), 1U);
  disk_.clear_faults();
  made("/file");
}

TEST_F(MemoryDiskTest, ShortWriteLeavesItsBeginning) {
  auto file = made("/file");
  disk_.inject({.operation = disk_operation::write, .code = errc::no_space, .written_bytes = 700});
  EXPECT_EQ(file->write_at(0, filled(1000, 1)).error().code, errc::no_space);
  EXPECT_EQ(content("/file"), filled(700, 1));
}

// -- space

TEST_F(MemoryDiskTest, FullVolumeTakesWhatFitsAndRecoversBySpace) {
  disk_.set_up_volume("/small", 1000);
  auto file = made_durable("/small/file");
  EXPECT_EQ(file->write_at(0, filled(1500, 1)).error().code, errc::no_space);
  EXPECT_EQ(file->size(), 1000U);
  EXPECT_EQ(disk_.space_at("/small/file")->available_bytes, 0U);
  EXPECT_EQ(file->preallocate(2000).error().code, errc::no_space);
  EXPECT_TRUE(file->write_at(0, filled(1000, 2))) << "no new space needed";
  EXPECT_TRUE(made("/elsewhere")->write_at(0, filled(1500, 1))) << "another volume";
  disk_.set_capacity("/small", 3000);
  EXPECT_TRUE(file->write_at(1000, filled(500, 1)));
  EXPECT_EQ(disk_.space_at("/small")->available_bytes, 1500U);
  EXPECT_EQ(disk_.space_at("/small")->total_bytes, 3000U);
}

TEST_F(MemoryDiskTest, PreallocationTakesSpaceUntilReleased) {
  disk_.set_capacity("/", 1000);
  auto file = made_durable("/file");
  auto other = made("/other");
  ASSERT_TRUE(file->preallocate(900));
  EXPECT_EQ(other->write_at(0, filled(200, 1)).error().code, errc::no_space);
  EXPECT_TRUE(file->write_at(0, filled(850, 1)));
  ASSERT_TRUE(file->release_preallocation());
  EXPECT_TRUE(other->write_at(100, filled(50, 1)));
  EXPECT_EQ(disk_.space_at("/")->available_bytes, 0U);
}

TEST_F(MemoryDiskTest, RemovedFileHoldsItsSpaceWhileItIsOpen) {
  disk_.set_capacity("/", 1000);
  auto file = made("/file");
  ASSERT_TRUE(file->write_at(0, filled(600, 1)));
  ASSERT_TRUE(disk_.remove("/file"));
  EXPECT_EQ(disk_.space_at("/")->available_bytes, 400U);
  file.reset();
  EXPECT_EQ(disk_.space_at("/")->available_bytes, 1000U);
  auto second = made("/second");
  ASSERT_TRUE(second->write_at(0, filled(600, 1)));
  ASSERT_TRUE(disk_.remove("/second"));
  disk_.kill_process();
  EXPECT_EQ(disk_.space_at("/")->available_bytes, 1000U);
}

TEST_F(MemoryDiskTest, CrashGivesBackTheSpaceOfWhatWasLost) {
  disk_.set_capacity("/", 1000);
  auto file = made("/file");
  ASSERT_TRUE(file->write_at(0, filled(600, 1)));
  disk_.crash_losing_unsynced();
  file.reset();
  EXPECT_EQ(disk_.space_at("/")->available_bytes, 1000U);
}

// -- the rest

TEST_F(MemoryDiskTest, DamageIsThereForGood) {
  auto file = made_durable("/file");
  ASSERT_TRUE(file->write_at(0, filled(4, 0)));
  disk_.damage("/file", [](bytes& content) {
    content[1] ^= std::byte{0x40};
    content.pop_back();
  });
  const bytes expected{std::byte{0}, std::byte{0x40}, std::byte{0}};
  EXPECT_EQ(content("/file"), expected);
  disk_.crash_losing_unsynced();
  EXPECT_EQ(content("/file"), expected);
}

TEST_F(MemoryDiskTest, MisalignedDirectWriteEndsTheProgram) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  auto file = disk_.create("/file", io_mode::direct).value();
  EXPECT_DEATH(static_cast<void>(file->write_at(0, filled(100, 1))), "not aligned.*size=100");
  EXPECT_DEATH(static_cast<void>(file->write_at(512, filled(0, 1))), "not aligned.*offset=512");
}

TEST_F(MemoryDiskTest, TakesCallsFromSeveralThreads) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([this, t] {
      const auto path = "/" + std::to_string(t);
      auto file = disk_.create(path, io_mode::buffered).value();
      for (std::uint64_t i = 0; i < 200; ++i) {
        static_cast<void>(file->write_at(i * 10, filled(10, t)));
        static_cast<void>(file->sync());
        static_cast<void>(disk_.sync_directory("/"));
      }
    });
  for (auto& thread : threads)
    thread.join();
  disk_.crash_losing_unsynced();
  for (int t = 0; t < 4; ++t)
    EXPECT_EQ(content("/" + std::to_string(t)), filled(2000, t));
}

} // namespace cairn
