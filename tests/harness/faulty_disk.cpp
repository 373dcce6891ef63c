#include "tests/harness/faulty_disk.hpp"

#include "core/disk/posix.hpp"
#include "tests/harness/program.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>

namespace cairn::harness {

/// Plain numbers, so that zero bytes are a valid state and several processes may have it at several
/// addresses; every access is atomic.
struct disk_faults::shared_state {
  std::int64_t is_filled;
  std::int64_t bytes_left;
  std::int64_t tells_falsely;
  std::int64_t syncs_to_failure; ///< 0 = none is to fail
  std::int64_t failed_syncs;
  std::int64_t refusals_for_space;
};

namespace {

using shared_number = std::atomic_ref<std::int64_t>;
static_assert(shared_number::is_always_lock_free, "a lock would be one process's own");

tl::unexpected<failure> full(const std::string& what) {
  return fail(errc::no_space, what + ": no space left (injected)");
}

class faulty_file final : public disk_file {
public:
  faulty_file(std::string path, std::unique_ptr<disk_file> below, const disk_faults& faults)
      : path_(std::move(path)), below_(std::move(below)), faults_(faults) {}

  result<void> write_at(std::uint64_t offset, std::span<const std::byte> data) override {
    const auto end = offset + data.size();
    if (end > end_ && !faults_.take_space(end - end_))
      return full(path_);
    end_ = std::max(end_, end);
    return below_->write_at(offset, data);
  }

  result<void> sync() override {
    if (faults_.next_sync_fails())
      return fail(errc::storage_error, path_ + ": sync failed (injected)");
    return below_->sync();
  }

  result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> out) const override {
    return below_->read_at(offset, out);
  }
  result<std::uint64_t> size() const override { return below_->size(); }

  /// Takes nothing of what is left, so that writes alone do.
  result<bool> preallocate(std::uint64_t end) override {
    if (faults_.bytes_left())
      return full(path_);
    return below_->preallocate(end);
  }
  void expect_random_reads() noexcept override { below_->expect_random_reads(); }
  result<void> release_preallocation() override { return below_->release_preallocation(); }

private:
  std::string path_;
  std::unique_ptr<disk_file> below_;
  const disk_faults& faults_;
  std::uint64_t end_ = 0; ///< of what was written; only files that are new are written to
};

result<std::unique_ptr<disk_file>> wrap(const std::string& path, result<std::unique_ptr<disk_file>> opened,
                                        const disk_faults& faults) {
  if (!opened)
    return opened;
  return std::make_unique<faulty_file>(path, std::move(*opened), faults);
}

} // namespace

// --- what is to fail ---

disk_faults::disk_faults() : disk_faults(std::string{}) {}

disk_faults::disk_faults(const std::string& path) {
  posix::unique_fd file;
  if (!path.empty()) {
    file = posix::unique_fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!file.valid() || ::ftruncate(file.get(), sizeof(shared_state)) != 0)
      throw harness_error(fmt::format("{}: {}", path, std::strerror(errno)));
  }
  void* memory = ::mmap(nullptr, sizeof(shared_state), PROT_READ | PROT_WRITE,
                        file.valid() ? MAP_SHARED : MAP_SHARED | MAP_ANONYMOUS, file.get(), 0);
  if (memory == MAP_FAILED)
    throw harness_error(fmt::format("mmap: {}", std::strerror(errno)));
  state_ = static_cast<shared_state*>(memory);
}

disk_faults::~disk_faults() { ::munmap(state_, sizeof(shared_state)); }

void disk_faults::fill(std::int64_t bytes_left, free_space_told told) const {
  shared_number(state_->bytes_left) = bytes_left;
  shared_number(state_->tells_falsely) = told == free_space_told::falsely ? 1 : 0;
  shared_number(state_->is_filled) = 1;
}

void disk_faults::free() const { shared_number(state_->is_filled) = 0; }

void disk_faults::fail_sync(std::int64_t nth) const { shared_number(state_->syncs_to_failure) = nth; }

std::int64_t disk_faults::failed_syncs() const { return shared_number(state_->failed_syncs); }

std::int64_t disk_faults::refusals_for_space() const { return shared_number(state_->refusals_for_space); }

bool disk_faults::refuse() const {
  ++shared_number(state_->refusals_for_space);
  return false;
}

bool disk_faults::take_space(std::uint64_t bytes) const {
  if (shared_number(state_->is_filled) == 0)
    return true;
  const shared_number left(state_->bytes_left);
  const auto wanted = static_cast<std::int64_t>(bytes);
  for (auto seen = left.load(); seen >= wanted;)
    if (left.compare_exchange_weak(seen, seen - wanted))
      return true;
  return refuse();
}

bool disk_faults::takes_names() const { return bytes_left() != 0U || refuse(); }

std::optional<std::uint64_t> disk_faults::bytes_left() const {
  if (shared_number(state_->is_filled) == 0)
    return std::nullopt;
  return static_cast<std::uint64_t>(shared_number(state_->bytes_left).load());
}

std::optional<std::uint64_t> disk_faults::bytes_told() const {
  return shared_number(state_->tells_falsely) == 0 ? bytes_left() : std::nullopt;
}

bool disk_faults::next_sync_fails() const {
  const shared_number left(state_->syncs_to_failure);
  for (auto seen = left.load(); seen > 0;)
    if (left.compare_exchange_weak(seen, seen - 1)) {
      if (seen == 1)
        ++shared_number(state_->failed_syncs);
      return seen == 1;
    }
  return false;
}

// --- the disk ---

result<std::unique_ptr<disk_file>> faulty_disk::create(const std::string& path, io_mode mode) {
  if (!faults_.takes_names())
    return full(path);
  return wrap(path, below_.create(path, mode), faults_);
}

result<std::unique_ptr<disk_file>> faulty_disk::open_for_read(const std::string& path) {
  return wrap(path, below_.open_for_read(path), faults_);
}

result<std::unique_ptr<disk_file>> faulty_disk::open_for_repair(const std::string& path) {
  return wrap(path, below_.open_for_repair(path), faults_);
}

result<bool> faulty_disk::make_directory(const std::string& path) {
  if (!faults_.takes_names())
    return full(path);
  return below_.make_directory(path);
}

result<void> faulty_disk::sync_directory(const std::string& path) { return below_.sync_directory(path); }

result<std::vector<directory_entry>> faulty_disk::list_directory(const std::string& path) {
  return below_.list_directory(path);
}

result<void> faulty_disk::remove(const std::string& path) { return below_.remove(path); }

result<void> faulty_disk::remove_directory(const std::string& path) { return below_.remove_directory(path); }

result<void> faulty_disk::make_symlink(const std::string& target, const std::string& path) {
  if (!faults_.takes_names())
    return full(path);
  return below_.make_symlink(target, path);
}

result<std::string> faulty_disk::read_symlink(const std::string& path) { return below_.read_symlink(path); }

result<volume_space> faulty_disk::space_at(const std::string& path) {
  auto space = below_.space_at(path);
  if (const auto left = faults_.bytes_told(); left && space)
    space->available_bytes = std::min(space->available_bytes, *left);
  return space;
}

} // namespace cairn::harness
