#include "net/bench/reference.hpp"

#include "core/digest.hpp"
#include "core/disk/disk.hpp"
#include "core/disk/posix.hpp"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <memory>
#include <thread>
#include <vector>

#include <fcntl.h>

namespace cairn::bench {

namespace {

using bench_clock = std::chrono::steady_clock;
constexpr std::uint64_t file_bytes = 256ULL << 20U; // then it is written over

struct free_memory {
  void operator()(std::byte* memory) const { std::free(memory); }
};

class raw_file {
public:
  static result<raw_file> open(const std::string& directory, std::uint64_t size_bytes) {
    raw_file file;
    file.path_ = directory;
    file.size_bytes_ = (size_bytes + disk_block_bytes - 1) / disk_block_bytes * disk_block_bytes;
    constexpr auto flags = O_TMPFILE | O_WRONLY | O_CLOEXEC;
    file.fd_ = posix::unique_fd(::open(directory.c_str(), flags | O_DIRECT, 0600));
    if (!file.fd_.valid()) // where the file system has no direct I/O
      file.fd_ = posix::unique_fd(::open(directory.c_str(), flags, 0600));
    if (!file.fd_.valid())
      return posix::fail_errno(directory, "open", errno);
    file.memory_.reset(static_cast<std::byte*>(std::aligned_alloc(disk_block_bytes, file.size_bytes_)));
    if (!file.memory_)
      return fail(errc::busy, "not enough memory for the reference");
    std::fill_n(file.memory_.get(), file.size_bytes_, std::byte{0x5A});
    return file;
  }

  /// So many appends one after the other, then a sync.
  result<void> append(unsigned count) {
    for (unsigned i = 0; i < count;
         ++i, offset_ = (offset_ + size_bytes_) % std::max(file_bytes, size_bytes_))
      if (::pwrite(fd_.get(), memory_.get(), size_bytes_, static_cast<off_t>(offset_))
          != static_cast<ssize_t>(size_bytes_))
        return posix::fail_errno(path_, "pwrite", errno);
    if (::fdatasync(fd_.get()) != 0)
      return posix::fail_errno(path_, "fdatasync", errno);
    return {};
  }

  [[nodiscard]] std::uint64_t size_bytes() const { return size_bytes_; }

private:
  std::string path_;
  std::uint64_t size_bytes_ = 0;
  std::uint64_t offset_ = 0;
  posix::unique_fd fd_;
  std::unique_ptr<std::byte, free_memory> memory_;
};

} // namespace

result<disk_reference> measure_disk(const std::string& directory, std::uint64_t size_bytes, unsigned batch,
                                    std::chrono::milliseconds time) {
  auto file = raw_file::open(directory, size_bytes);
  if (!file)
    return pass_failure(file);
  disk_reference measured;
  for (const auto until = bench_clock::now() + time; bench_clock::now() < until;) {
    const auto begun = bench_clock::now();
    if (auto written = file->append(1); !written)
      return pass_failure(written);
    measured.one.add(bench_clock::now() - begun);
  }
  const auto begun = bench_clock::now();
  while (bench_clock::now() < begun + time) {
    if (auto written = file->append(batch); !written)
      return pass_failure(written);
    measured.batched_bytes += batch * file->size_bytes();
  }
  measured.batched_elapsed = bench_clock::now() - begun;
  return measured;
}

double measure_md5(std::uint64_t size_bytes, std::chrono::milliseconds time) {
  std::atomic<std::uint64_t> digested{0};
  const auto begun = bench_clock::now();
  {
    std::vector<std::jthread> threads;
    for (unsigned i = 0; i < std::max(1U, std::thread::hardware_concurrency()); ++i)
      threads.emplace_back([&] {
        const std::vector<std::byte> buffer(size_bytes);
        std::uint64_t bytes = 0;
        while (bench_clock::now() < begun + time) {
          md5_hasher md5;
          md5.update(buffer);
          static_cast<void>(md5.digest());
          bytes += size_bytes;
        }
        digested += bytes;
      });
  }
  return static_cast<double>(digested) / std::chrono::duration<double>(bench_clock::now() - begun).count();
}

} // namespace cairn::bench
