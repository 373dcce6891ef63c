/// What every disk must do, checked over the operating system's and the memory disk.

#include "core/disk/disk.hpp"
#include "tests/support/memory_disk.hpp"

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

namespace cairn {

namespace {

std::vector<std::byte> bytes_of(std::string_view text) {
  std::vector<std::byte> bytes(text.size());
  std::transform(text.begin(), text.end(), bytes.begin(), [](char c) { return static_cast<std::byte>(c); });
  return bytes;
}

/// Memory fit for direct writes.
class aligned_buffer {
public:
  aligned_buffer(std::size_t size_bytes, std::byte fill)
      : memory_(static_cast<std::byte*>(std::aligned_alloc(disk_block_bytes, size_bytes)), std::free),
        size_bytes_(size_bytes) {
    std::fill_n(memory_.get(), size_bytes, fill);
  }

  [[nodiscard]] std::span<const std::byte> bytes() const { return {memory_.get(), size_bytes_}; }

private:
  std::unique_ptr<std::byte, decltype(&std::free)> memory_;
  std::size_t size_bytes_;
};

/// A disk to test and a directory on it.
struct real_fixture {
  real_fixture() {
    auto pattern = (std::filesystem::temp_directory_path() / "cairn-disk-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr)
      throw std::runtime_error("mkdtemp failed");
    directory = pattern;
  }
  ~real_fixture() { std::filesystem::remove_all(directory); }

  disk& subject = real_disk();
  std::string directory;
};

struct memory_fixture {
  memory_fixture() { memory.set_up_directory(directory); }

  memory_disk memory;
  disk& subject = memory;
  std::string directory = "/volume/tests";
};

} // namespace

template <class Fixture>
class DiskTest : public testing::Test {
protected:
  [[nodiscard]] std::string path(const std::string& name) const { return fixture_.directory + "/" + name; }
  disk& subject() { return fixture_.subject; }

  std::unique_ptr<disk_file> made(const std::string& name, io_mode mode = io_mode::buffered) {
    auto file = subject().create(path(name), mode);
    EXPECT_TRUE(file) << file.error().message;
    return file ? std::move(*file) : nullptr;
  }

  std::vector<std::byte> content(const disk_file& file) {
    std::vector<std::byte> bytes(file.size().value());
    EXPECT_EQ(file.read_at(0, bytes), bytes.size());
    return bytes;
  }

  Fixture fixture_;
};

struct disk_names {
  template <class Fixture>
  static std::string GetName(int) {
    return std::is_same_v<Fixture, real_fixture> ? "Real" : "Memory";
  }
};

using fixtures = testing::Types<real_fixture, memory_fixture>;
TYPED_TEST_SUITE(DiskTest, fixtures, disk_names);

TYPED_TEST(DiskTest, ReadsBackWhatWasWritten) {
  auto file = this->made("file");
  EXPECT_EQ(file->size(), 0U);
  ASSERT_TRUE(file->write_at(0, bytes_of("hello, ")));
  ASSERT_TRUE(file->write_at(7, bytes_of("world")));
  EXPECT_EQ(file->size(), 12U);
  EXPECT_EQ(this->content(*file), bytes_of("hello, world"));
  ASSERT_TRUE(file->write_at(0, bytes_of("J")));
  ASSERT_TRUE(file->sync());
  auto reader = this->subject().open_for_read(this->path("file"));
  ASSERT_TRUE(reader);
  EXPECT_EQ(this->content(**reader), bytes_of("Jello, world"));
}

TYPED_TEST(DiskTest, ReadsShortOnlyAtTheEnd) {
  auto file = this->made("file");
  ASSERT_TRUE(file->write_at(0, bytes_of("0123456789")));
  std::vector<std::byte> out(4);
  EXPECT_EQ(file->read_at(3, out), 4U);
  EXPECT_EQ(out, bytes_of("3456"));
  EXPECT_EQ(file->read_at(8, out), 2U);
  EXPECT_EQ(file->read_at(10, out), 0U);
  EXPECT_EQ(file->read_at(1000, out), 0U);
  EXPECT_EQ(file->read_at(0, {}), 0U);
}

TYPED_TEST(DiskTest, FillsAGapWithZeros) {
  auto file = this->made("file");
  ASSERT_TRUE(file->write_at(5, bytes_of("x")));
  EXPECT_EQ(this->content(*file), bytes_of(std::string_view("\0\0\0\0\0x", 6)));
}

TYPED_TEST(DiskTest, WritesNothingWhenGivenNothing) {
  auto file = this->made("file");
  EXPECT_TRUE(file->write_at(100, {}));
  EXPECT_EQ(file->size(), 0U);
}

TYPED_TEST(DiskTest, DirectFileTakesAlignedWritesAndAnyRead) {
  auto file = this->made("file", io_mode::direct);
  const aligned_buffer first(3 * disk_block_bytes, std::byte{1});
  const aligned_buffer second(disk_block_bytes, std::byte{2});
  ASSERT_TRUE(file->write_at(0, first.bytes()));
  std::vector<std::byte> out(7);
  EXPECT_EQ(file->read_at(3 * disk_block_bytes - 3, out), 3U); // now in the page cache
  ASSERT_TRUE(file->write_at(2 * disk_block_bytes, second.bytes()));
  ASSERT_TRUE(file->write_at(3 * disk_block_bytes, second.bytes()));
  ASSERT_TRUE(file->sync());
  EXPECT_EQ(file->size(), 4 * disk_block_bytes);
  EXPECT_EQ(file->read_at(2 * disk_block_bytes - 3, out), 7U);
  EXPECT_EQ(out, bytes_of("\1\1\1\2\2\2\2"));
  EXPECT_EQ(file->read_at(4 * disk_block_bytes - 1, out), 1U);
}

TYPED_TEST(DiskTest, CreatesOnlyWhatIsNotThere) {
  this->made("file");
  EXPECT_EQ(this->subject().create(this->path("file"), io_mode::buffered).error().code, errc::conflict);
  EXPECT_EQ(this->subject().create(this->path("file"), io_mode::direct).error().code, errc::conflict);
  EXPECT_EQ(this->subject().create(this->path("no/file"), io_mode::buffered).error().code, errc::not_found);
}

TYPED_TEST(DiskTest, FailureNamesThePath) {
  const auto error = this->subject().open_for_read(this->path("absent")).error();
  EXPECT_EQ(error.code, errc::not_found);
  EXPECT_NE(error.message.find(this->path("absent")), std::string::npos) << error.message;
}

TYPED_TEST(DiskTest, OpensOnlyRegularFiles) {
  EXPECT_EQ(this->subject().open_for_repair(this->path("absent")).error().code, errc::not_found);
  ASSERT_TRUE(this->subject().make_directory(this->path("directory")));
  EXPECT_EQ(this->subject().open_for_read(this->path("directory")).error().code, errc::storage_error);
  EXPECT_EQ(this->subject().open_for_repair(this->path("directory")).error().code, errc::storage_error);
}

TYPED_TEST(DiskTest, ReaderNeitherWritesNorReleases) {
  this->made("file");
  auto reader = this->subject().open_for_read(this->path("file"));
  ASSERT_TRUE(reader);
  EXPECT_EQ((*reader)->write_at(0, bytes_of("x")).error().code, errc::storage_error);
  EXPECT_EQ((*reader)->preallocate(4096).error().code, errc::storage_error);
  EXPECT_EQ((*reader)->release_preallocation().error().code, errc::storage_error);
  EXPECT_TRUE((*reader)->sync());
}

TYPED_TEST(DiskTest, RepairerSyncsAndReleasesButNeverWrites) {
  auto file = this->made("file");
  ASSERT_TRUE(file->write_at(0, bytes_of("kept")));
  ASSERT_TRUE(file->preallocate(1 << 20));
  file.reset();
  auto repairer = this->subject().open_for_repair(this->path("file"));
  ASSERT_TRUE(repairer);
  EXPECT_EQ((*repairer)->write_at(0, bytes_of("x")).error().code, errc::storage_error);
  EXPECT_EQ((*repairer)->preallocate(4096).error().code, errc::storage_error);
  EXPECT_TRUE((*repairer)->sync());
  EXPECT_TRUE((*repairer)->release_preallocation());
  EXPECT_EQ(this->content(**repairer), bytes_of("kept"));
}

TYPED_TEST(DiskTest, PreallocationLeavesTheSizeAlone) {
  auto file = this->made("file");
  ASSERT_TRUE(file->write_at(0, bytes_of("abc")));
  EXPECT_TRUE(file->preallocate(1 << 20));
  EXPECT_TRUE(file->preallocate(1)); // within the size
  EXPECT_EQ(file->size(), 3U);
  ASSERT_TRUE(file->write_at(3, bytes_of("def")));
  EXPECT_TRUE(file->release_preallocation());
  EXPECT_TRUE(file->release_preallocation());
  EXPECT_EQ(this->content(*file), bytes_of("abcdef"));
  ASSERT_TRUE(file->write_at(6, bytes_of("ghi")));
  EXPECT_EQ(this->content(*file), bytes_of("abcdefghi"));
}

TYPED_TEST(DiskTest, MakesADirectoryOnce) {
  EXPECT_EQ(this->subject().make_directory(this->path("a")), true);
  EXPECT_EQ(this->subject().make_directory(this->path("a")), false);
  EXPECT_EQ(this->subject().make_directory(this->path("b/c")).error().code, errc::not_found);
  this->made("file");
  EXPECT_EQ(this->subject().make_directory(this->path("file")).error().code, errc::conflict);
  EXPECT_EQ(this->subject().make_directory(this->path("file/x")).error().code, errc::not_found);
  EXPECT_TRUE(this->subject().sync_directory(this->path("a")));
  EXPECT_EQ(this->subject().sync_directory(this->path("absent")).error().code, errc::not_found);
  EXPECT_EQ(this->subject().sync_directory(this->path("file")).error().code, errc::not_found);
}

TYPED_TEST(DiskTest, ListsEntriesByNameAndFollowsSymlinks) {
  this->made("b");
  this->made("a");
  ASSERT_TRUE(this->subject().make_directory(this->path("c")));
  ASSERT_TRUE(this->subject().make_symlink("c", this->path("to-directory")));
  ASSERT_TRUE(this->subject().make_symlink(this->path("a"), this->path("to-file")));
  ASSERT_TRUE(this->subject().make_symlink("absent", this->path("to-nothing")));
  auto entries = this->subject().list_directory(this->path(""));
  ASSERT_TRUE(entries);
  std::string text;
  for (const auto& entry : *entries)
    text += fmt::format("{}{} ", entry.name, entry.is_directory ? "/" : "");
  EXPECT_EQ(text, "a b c/ to-directory/ to-file to-nothing ");
  EXPECT_EQ(this->subject().list_directory(this->path("absent")).error().code, errc::not_found);
  EXPECT_EQ(this->subject().list_directory(this->path("a")).error().code, errc::not_found);
  EXPECT_EQ(this->subject().make_directory(this->path("to-directory")), false);
  EXPECT_EQ(this->subject().make_directory(this->path("to-nothing")).error().code, errc::conflict);
}

TYPED_TEST(DiskTest, RemovedFileIsGoneButStaysReadableWhereItIsOpen) {
  auto file = this->made("file");
  ASSERT_TRUE(file->write_at(0, bytes_of("still here")));
  ASSERT_TRUE(this->subject().remove(this->path("file")));
  EXPECT_EQ(this->subject().remove(this->path("file")).error().code, errc::not_found);
  EXPECT_EQ(this->subject().open_for_read(this->path("file")).error().code, errc::not_found);
  EXPECT_EQ(this->content(*file), bytes_of("still here"));
  this->made("file");
}

TYPED_TEST(DiskTest, RemoveLeavesDirectoriesAlone) {
  ASSERT_TRUE(this->subject().make_directory(this->path("directory")));
  EXPECT_EQ(this->subject().remove(this->path("directory")).error().code, errc::storage_error);
}

TYPED_TEST(DiskTest, RemoveDirectoryTakesEmptyOnesOnly) {
  ASSERT_TRUE(this->subject().make_directory(this->path("directory")));
  this->made("directory/file");
  EXPECT_EQ(this->subject().remove_directory(this->path("directory")).error().code, errc::conflict);
  EXPECT_EQ(this->subject().remove_directory(this->path("directory/file")).error().code, errc::conflict);
  ASSERT_TRUE(this->subject().remove(this->path("directory/file")));
  EXPECT_TRUE(this->subject().remove_directory(this->path("directory")));
  EXPECT_EQ(this->subject().remove_directory(this->path("directory")).error().code, errc::not_found);
  EXPECT_EQ(this->subject().make_directory(this->path("directory")), true);
}

TYPED_TEST(DiskTest, SymlinkLeadsToItsTarget) {
  ASSERT_TRUE(this->subject().make_directory(this->path("target")));
  ASSERT_TRUE(this->subject().make_symlink(this->path("target"), this->path("link")));
  EXPECT_EQ(this->subject().read_symlink(this->path("link")), this->path("target"));
  auto file = this->made("link/file");
  ASSERT_TRUE(file->write_at(0, bytes_of("x")));
  EXPECT_TRUE(this->subject().sync_directory(this->path("link")));
  EXPECT_TRUE(this->subject().space_at(this->path("link")));
  auto entries = this->subject().list_directory(this->path("target/../link/./"));
  ASSERT_TRUE(entries);
  EXPECT_EQ(entries->size(), 1U);
  auto reader = this->subject().open_for_read(this->path("target/file"));
  ASSERT_TRUE(reader);
  EXPECT_EQ(this->content(**reader), bytes_of("x"));
  EXPECT_TRUE(this->subject().remove(this->path("link")));
  EXPECT_TRUE(this->subject().list_directory(this->path("target")));
}

TYPED_TEST(DiskTest, SymlinkFailuresAreToldApart) {
  this->made("file");
  EXPECT_EQ(this->subject().read_symlink(this->path("file")).error().code, errc::conflict);
  EXPECT_EQ(this->subject().read_symlink(this->path("absent")).error().code, errc::not_found);
  EXPECT_EQ(this->subject().make_symlink("x", this->path("file")).error().code, errc::conflict);
  EXPECT_EQ(this->subject().make_symlink("x", this->path("absent/link")).error().code, errc::not_found);
  ASSERT_TRUE(this->subject().make_symlink("loop", this->path("loop")));
  EXPECT_EQ(this->subject().open_for_read(this->path("loop")).error().code, errc::storage_error);
  EXPECT_EQ(this->subject().create(this->path("loop"), io_mode::buffered).error().code, errc::conflict);
}

TYPED_TEST(DiskTest, KnowsTheSpaceOfAVolume) {
  auto space = this->subject().space_at(this->path(""));
  ASSERT_TRUE(space);
  EXPECT_GT(space->total_bytes, 0U);
  EXPECT_LE(space->available_bytes, space->total_bytes);
  EXPECT_EQ(this->subject().space_at(this->path("absent")).error().code, errc::not_found);
}

TYPED_TEST(DiskTest, ReadsFromSeveralThreadsAtOnce) {
  auto file = this->made("file");
  std::vector<std::byte> data(1 << 16);
  for (std::size_t i = 0; i < data.size(); ++i)
    data[i] = static_cast<std::byte>(i % 251);
  ASSERT_TRUE(file->write_at(0, data));
  std::vector<std::thread> threads;
  std::array<int, 4> mismatches{};
  for (std::size_t t = 0; t < mismatches.size(); ++t)
    threads.emplace_back([&, t] {
      std::vector<std::byte> out(1000);
      for (std::size_t offset = t; offset + out.size() < data.size(); offset += 777)
        if (file->read_at(offset, out) != out.size()
            || !std::equal(out.begin(), out.end(), data.begin() + static_cast<std::ptrdiff_t>(offset)))
          ++mismatches[t];
    });
  for (auto& thread : threads)
    thread.join();
  EXPECT_EQ(mismatches, (std::array<int, 4>{}));
}

// -- what only the operating system's disk has

namespace {

std::uint64_t allocated_bytes(const std::string& path) {
  struct stat status {};
  EXPECT_EQ(::stat(path.c_str(), &status), 0);
  return static_cast<std::uint64_t>(status.st_blocks) * 512;
}

} // namespace

TEST(RealDiskTest, TakesSpaceAheadAndGivesItBack) {
  constexpr std::uint64_t ahead_bytes = 8 << 20;
  real_fixture fixture;
  const auto path = fixture.directory + "/file";
  auto file = real_disk().create(path, io_mode::buffered);
  ASSERT_TRUE(file);
  ASSERT_TRUE((*file)->write_at(0, bytes_of("abc")));
  const auto supported = (*file)->preallocate(ahead_bytes);
  ASSERT_TRUE(supported);
  if (*supported) {
    EXPECT_GE(allocated_bytes(path), ahead_bytes);
  }
  ASSERT_TRUE((*file)->release_preallocation());
  ASSERT_TRUE((*file)->sync());
  EXPECT_LE(allocated_bytes(path), 64U << 10);
}

TEST(RealDiskTest, RecoveryGivesBackWhatACrashLeft) {
  constexpr std::uint64_t ahead_bytes = 8 << 20;
  real_fixture fixture;
  const auto path = fixture.directory + "/file";
  {
    auto file = real_disk().create(path, io_mode::direct);
    ASSERT_TRUE(file);
    ASSERT_TRUE((*file)->preallocate(ahead_bytes));
  }
  auto file = real_disk().open_for_repair(path);
  ASSERT_TRUE(file);
  ASSERT_TRUE((*file)->release_preallocation());
  EXPECT_LE(allocated_bytes(path), 64U << 10);
}

TEST(RealDiskTest, RefusesAMisalignedDirectWriteWhole) {
  real_fixture fixture;
  auto file = real_disk().create(fixture.directory + "/file", io_mode::direct);
  ASSERT_TRUE(file);
  const aligned_buffer block(2 * disk_block_bytes, std::byte{1});
  EXPECT_EQ((*file)->write_at(1, block.bytes()).error().code, errc::internal_error);
  EXPECT_EQ((*file)->write_at(0, block.bytes().first(100)).error().code, errc::internal_error);
  EXPECT_EQ((*file)->write_at(0, block.bytes().subspan(1, disk_block_bytes)).error().code,
            errc::internal_error);
  EXPECT_EQ((*file)->size(), 0U);
}

TEST(RealDiskTest, KeepsFilesPrivate) {
  real_fixture fixture;
  ASSERT_TRUE(real_disk().create(fixture.directory + "/file", io_mode::buffered));
  ASSERT_TRUE(real_disk().make_directory(fixture.directory + "/directory"));
  struct stat status {};
  ASSERT_EQ(::stat((fixture.directory + "/file").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0077, 0U);
  ASSERT_EQ(::stat((fixture.directory + "/directory").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0077, 0U);
}

TEST(RealDiskTest, DoesNotHangOnAFifo) {
  real_fixture fixture;
  const auto path = fixture.directory + "/fifo";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  EXPECT_EQ(real_disk().open_for_read(path).error().code, errc::storage_error);
  EXPECT_EQ(real_disk().open_for_repair(path).error().code, errc::storage_error);
}

/// The limit on file sizes is a full disk that needs no volume of its own. In a child, as it cannot be raised
/// again.
TEST(RealDiskTest, WritesWhatFitsAndReportsNoSpace) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  constexpr rlim_t limit_bytes = 10000;
  const auto fill = [] {
    real_fixture fixture;
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{limit_bytes, limit_bytes};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    auto file = real_disk().create(fixture.directory + "/file", io_mode::buffered).value();
    const auto written = file->write_at(0, std::vector<std::byte>(3 * limit_bytes));
    const bool as_specified =
      !written && written.error().code == errc::no_space && file->size().value() == limit_bytes;
    std::filesystem::remove_all(fixture.directory);
    std::_Exit(as_specified ? 0 : 1);
  };
  EXPECT_EXIT(fill(), testing::ExitedWithCode(0), "");
}

} // namespace cairn
