#include "core/disk/disk.hpp"
#include "core/disk/posix.hpp"

#include <algorithm>
#include <array>
#include <cstdint>

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

namespace cairn {

namespace {

using posix::fail_errno;
using posix::fail_with;
using posix::retry_interrupted;
using posix::unique_fd;

/// Buffered bytes after which write-back is started, so that the next sync finds little left to do.
constexpr std::uint64_t early_write_back_bytes = 8ULL << 20;

/// Unit of stat's st_blocks, whatever the file system's block size.
constexpr std::uint64_t stat_block_bytes = 512;

bool is_block_aligned(std::uint64_t number) { return number % disk_block_bytes == 0; }

enum class access : std::uint8_t { read, repair, write };

class real_file final : public disk_file {
public:
  /// @param read_fd without O_DIRECT, so that reads need no alignment; invalid: reads go to `fd`. The kernel
  /// keeps both coherent: a direct write drops the pages that it covers from the page cache.
  real_file(std::string path, unique_fd fd, unique_fd read_fd, access rights, io_mode mode)
      : path_(std::move(path)), fd_(std::move(fd)), read_fd_(std::move(read_fd)), rights_(rights),
        mode_(mode), bypasses_cache_(read_fd_.valid()) {}

  result<void> write_at(std::uint64_t offset, std::span<const std::byte> data) override {
    if (rights_ != access::write)
      return fail(errc::storage_error,
                  fmt::format("{}: write refused: the file was not opened by create", path_));
    if (mode_ == io_mode::direct && !is_aligned(offset, data))
      return fail(errc::internal_error,
                  fmt::format("{}: direct write of {} bytes at {} is not aligned to {} bytes", path_,
                              data.size(), offset, disk_block_bytes));
    const auto end = offset + data.size();
    while (!data.empty()) {
      const auto written = retry_interrupted(
        [&] { return ::pwrite(fd_.get(), data.data(), data.size(), static_cast<off_t>(offset)); });
      if (written < 0) {
        if (errno == EINVAL && bypasses_cache_ && !has_written_ && leave_direct_io())
          continue;
        return fail_errno(path_, "pwrite", errno);
      }
      if (written == 0)
        return fail(errc::storage_error, fmt::format("{}: pwrite wrote nothing", path_));
      has_written_ = true;
      offset += static_cast<std::uint64_t>(written);
      data = data.subspan(static_cast<std::size_t>(written));
    }
    start_write_back(end);
    return {};
  }

  result<void> sync() override {
    // Not repeated, not even after EINTR: what the kernel did with the pages is unknown after any failure.
    // Always storage_error, as even ENOSPC (delayed allocation) means that written bytes are lost.
    if (::fdatasync(fd_.get()) != 0)
      return fail_with(errc::storage_error, path_, "fdatasync", errno);
    return {};
  }

  result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> out) const override {
    const int fd = read_fd_.valid() ? read_fd_.get() : fd_.get();
    std::size_t total = 0;
    while (total < out.size()) {
      const auto count = retry_interrupted([&] {
        return ::pread(fd, out.data() + total, out.size() - total, static_cast<off_t>(offset + total));
      });
      if (count < 0)
        return fail_with(errc::storage_error, path_, "pread", errno);
      if (count == 0)
        break;
      total += static_cast<std::size_t>(count);
    }
    return total;
  }

  result<std::uint64_t> size() const override {
    struct stat status {};
    if (::fstat(fd_.get(), &status) != 0)
      return fail_with(errc::storage_error, path_, "fstat", errno);
    return static_cast<std::uint64_t>(status.st_size);
  }

  result<bool> preallocate(std::uint64_t end) override {
    if (rights_ != access::write)
      return fail(errc::storage_error, fmt::format("{}: fallocate refused: not opened by create", path_));
    auto begin = size();
    if (!begin)
      return pass_failure(begin);
    if (end <= *begin)
      return true;
    const auto outcome = retry_interrupted([&] {
      return ::fallocate(fd_.get(), FALLOC_FL_KEEP_SIZE, static_cast<off_t>(*begin),
                         static_cast<off_t>(end - *begin));
    });
    if (outcome == 0)
      return true;
    if (errno == EOPNOTSUPP || errno == ENOSYS)
      return false;
    return fail_errno(path_, "fallocate", errno);
  }

  void expect_random_reads() noexcept override {
    (void)::posix_fadvise(read_fd_.valid() ? read_fd_.get() : fd_.get(), 0, 0, POSIX_FADV_RANDOM);
  }

  result<void> release_preallocation() override {
    if (rights_ == access::read)
      return fail(errc::storage_error, fmt::format("{}: release refused: opened for reading only", path_));
    auto end = size();
    if (!end)
      return pass_failure(end);
    // Truncating to the size in force frees blocks past it on ext4, xfs and tmpfs, and moves no data.
    if (retry_interrupted([&] { return ::ftruncate(fd_.get(), static_cast<off_t>(*end)); }) != 0)
      return fail_with(errc::storage_error, path_, "ftruncate", errno);
    struct stat status {};
    if (::fstat(fd_.get(), &status) != 0)
      return fail_with(errc::storage_error, path_, "fstat", errno);
    const auto block_bytes =
      std::max<std::uint64_t>(static_cast<std::uint64_t>(status.st_blksize), disk_block_bytes);
    const auto needed_bytes = *end + 2 * block_bytes;
    if (static_cast<std::uint64_t>(status.st_blocks) * stat_block_bytes > needed_bytes)
      punch_past(*end);
    return {};
  }

private:
  static bool is_aligned(std::uint64_t offset, std::span<const std::byte> data) {
    return is_block_aligned(offset) && is_block_aligned(data.size())
           && is_block_aligned(reinterpret_cast<std::uintptr_t>(data.data()));
  }

  /// For a file system that accepts the flag but not the write. @returns whether to write again
  bool leave_direct_io() {
    const int flags = ::fcntl(fd_.get(), F_GETFL);
    if (flags < 0 || ::fcntl(fd_.get(), F_SETFL, flags & ~O_DIRECT) != 0) {
      errno = EINVAL;
      return false;
    }
    bypasses_cache_ = false;
    return true;
  }

  /// A hint: its failure changes nothing, and an error of the write-back itself is reported by sync().
  void start_write_back(std::uint64_t end) {
    if (bypasses_cache_ || end < write_back_end_ + early_write_back_bytes)
      return;
    ::sync_file_range(fd_.get(), static_cast<off_t>(write_back_end_),
                      static_cast<off_t>(end - write_back_end_), SYNC_FILE_RANGE_WRITE);
    write_back_end_ = end;
  }

  /// For file systems whose ftruncate leaves blocks past the size. Extended attributes, metadata blocks and
  /// compression make st_blocks inexact, so a refusal is no error.
  void punch_past(std::uint64_t end) {
    constexpr auto reach_bytes = std::uint64_t{1} << 40;
    ::fallocate(fd_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(end),
                static_cast<off_t>(reach_bytes));
  }

  std::string path_;
  unique_fd fd_;
  unique_fd read_fd_;
  access rights_;
  io_mode mode_;                     ///< as asked for: rules alignment
  bool bypasses_cache_;              ///< O_DIRECT is in force on fd_
  bool has_written_ = false;         ///< O_DIRECT has proved to work, or no longer matters
  std::uint64_t write_back_end_ = 0; ///< buffered bytes up to here are on their way to the disk
};

class real_disk_impl final : public disk {
public:
  result<std::unique_ptr<disk_file>> create(const std::string& path, io_mode mode) override {
    unique_fd fd(open_retry(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC));
    if (!fd.valid())
      return fail_errno(path, "open", errno);
    unique_fd read_fd;
    if (mode == io_mode::direct) {
      // Set after the open: an open with O_DIRECT that is refused may leave the new file behind.
      read_fd = unique_fd(open_retry(path, O_RDONLY | O_CLOEXEC));
      const int flags = ::fcntl(fd.get(), F_GETFL);
      if (flags < 0 || ::fcntl(fd.get(), F_SETFL, flags | O_DIRECT) != 0 || !read_fd.valid()) {
        if (flags >= 0)
          ::fcntl(fd.get(), F_SETFL, flags);
        read_fd = unique_fd();
      }
    }
    return std::make_unique<real_file>(path, std::move(fd), std::move(read_fd), access::write, mode);
  }

  result<std::unique_ptr<disk_file>> open_for_read(const std::string& path) override {
    return open_existing(path, O_RDONLY, access::read);
  }

  result<std::unique_ptr<disk_file>> open_for_repair(const std::string& path) override {
    return open_existing(path, O_RDWR, access::repair);
  }

  result<bool> make_directory(const std::string& path) override {
    if (::mkdir(path.c_str(), 0700) == 0)
      return true;
    const int error = errno;
    if (error != EEXIST)
      return fail_errno(path, "mkdir", error);
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0 || !S_ISDIR(status.st_mode))
      return fail(errc::conflict, fmt::format("{}: mkdir failed: it exists and is no directory", path));
    return false;
  }

  result<void> sync_directory(const std::string& path) override {
    unique_fd fd(open_retry(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd.valid())
      return fail_errno(path, "open", errno);
    if (::fsync(fd.get()) != 0)
      return fail_with(errc::storage_error, path, "fsync", errno);
    return {};
  }

  result<std::vector<directory_entry>> list_directory(const std::string& path) override {
    struct closer {
      void operator()(DIR* directory) const { ::closedir(directory); }
    };
    std::unique_ptr<DIR, closer> directory(::opendir(path.c_str()));
    if (!directory)
      return fail_errno(path, "opendir", errno);
    std::vector<directory_entry> entries;
    for (;;) {
      errno = 0;
      const auto* entry = ::readdir(directory.get());
      if (entry == nullptr)
        break;
      std::string name = entry->d_name;
      if (name == "." || name == "..")
        continue;
      struct stat status {};
      const bool is_directory =
        ::fstatat(::dirfd(directory.get()), name.c_str(), &status, 0) == 0 && S_ISDIR(status.st_mode);
      entries.push_back({std::move(name), is_directory});
    }
    if (errno != 0)
      return fail_with(errc::storage_error, path, "readdir", errno);
    std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
    return entries;
  }

  result<void> remove(const std::string& path) override {
    if (::unlink(path.c_str()) != 0)
      return fail_errno(path, "unlink", errno);
    return {};
  }

  result<void> remove_directory(const std::string& path) override {
    if (::rmdir(path.c_str()) == 0)
      return {};
    const auto error = errno;
    return fail_with(error == ENOTEMPTY || error == ENOTDIR ? errc::conflict : posix::code_of(error), path,
                     "rmdir", error);
  }

  result<void> make_symlink(const std::string& target, const std::string& path) override {
    if (::symlink(target.c_str(), path.c_str()) != 0)
      return fail_errno(path, "symlink", errno);
    return {};
  }

  result<std::string> read_symlink(const std::string& path) override {
    std::array<char, PATH_MAX> buffer;
    const auto length = ::readlink(path.c_str(), buffer.data(), buffer.size());
    if (length < 0 && errno == EINVAL)
      return fail(errc::conflict, fmt::format("{}: readlink failed: it is no symlink", path));
    if (length < 0)
      return fail_errno(path, "readlink", errno);
    return std::string(buffer.data(), static_cast<std::size_t>(length));
  }

  result<volume_space> space_at(const std::string& path) override {
    struct statvfs volume {};
    if (retry_interrupted([&] { return ::statvfs(path.c_str(), &volume); }) != 0)
      return fail_errno(path, "statvfs", errno);
    return volume_space{std::uint64_t{volume.f_bavail} * volume.f_frsize,
                        std::uint64_t{volume.f_blocks} * volume.f_frsize};
  }

private:
  static int open_retry(const std::string& path, int flags) {
    return retry_interrupted([&] { return ::open(path.c_str(), flags, 0600); });
  }

  static result<std::unique_ptr<disk_file>> open_existing(const std::string& path, int flags, access rights) {
    // O_NONBLOCK: a fifo in a file's place must not hang the node.
    unique_fd fd(open_retry(path, flags | O_CLOEXEC | O_NONBLOCK));
    if (!fd.valid())
      return fail_errno(path, "open", errno);
    struct stat status {};
    if (::fstat(fd.get(), &status) != 0)
      return fail_with(errc::storage_error, path, "fstat", errno);
    if (!S_ISREG(status.st_mode))
      return fail(errc::storage_error, fmt::format("{}: open failed: it is no regular file", path));
    return std::make_unique<real_file>(path, std::move(fd), unique_fd(), rights, io_mode::buffered);
  }
};

} // namespace

disk& real_disk() {
  static real_disk_impl instance;
  return instance;
}

} // namespace cairn
