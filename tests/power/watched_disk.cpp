#include "tests/power/watched_disk.hpp"

namespace cairn::power {

namespace {

class watched_file final : public disk_file {
public:
  watched_file(std::unique_ptr<disk_file> below, const std::function<void()>& watch)
      : below_(std::move(below)), watch_(watch) {}

  result<void> write_at(std::uint64_t offset, std::span<const std::byte> data) override {
    watch_();
    return below_->write_at(offset, data);
  }
  result<void> sync() override {
    watch_();
    return below_->sync();
  }
  result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> out) const override {
    watch_();
    return below_->read_at(offset, out);
  }
  result<std::uint64_t> size() const override {
    watch_();
    return below_->size();
  }
  result<bool> preallocate(std::uint64_t end) override {
    watch_();
    return below_->preallocate(end);
  }
  result<void> release_preallocation() override {
    watch_();
    return below_->release_preallocation();
  }

private:
  std::unique_ptr<disk_file> below_;
  const std::function<void()>& watch_;
};

} // namespace

result<std::unique_ptr<disk_file>> watched_disk::wrap(result<std::unique_ptr<disk_file>> opened) {
  if (!opened)
    return opened;
  return std::make_unique<watched_file>(std::move(*opened), watch_);
}

result<std::unique_ptr<disk_file>> watched_disk::create(const std::string& path, io_mode mode) {
  watch_();
  return wrap(below_.create(path, mode));
}

result<std::unique_ptr<disk_file>> watched_disk::open_for_read(const std::string& path) {
  watch_();
  return wrap(below_.open_for_read(path));
}

result<std::unique_ptr<disk_file>> watched_disk::open_for_repair(const std::string& path) {
  watch_();
  return wrap(below_.open_for_repair(path));
}

result<bool> watched_disk::make_directory(const std::string& path) {
  watch_();
  return below_.make_directory(path);
}

result<void> watched_disk::sync_directory(const std::string& path) {
  watch_();
  return below_.sync_directory(path);
}

result<std::vector<directory_entry>> watched_disk::list_directory(const std::string& path) {
  watch_();
  return below_.list_directory(path);
}

result<void> watched_disk::remove(const std::string& path) {
  watch_();
  return below_.remove(path);
}

result<void> watched_disk::remove_directory(const std::string& path) {
  watch_();
  return below_.remove_directory(path);
}

result<void> watched_disk::make_symlink(const std::string& target, const std::string& path) {
  watch_();
  return below_.make_symlink(target, path);
}

result<std::string> watched_disk::read_symlink(const std::string& path) {
  watch_();
  return below_.read_symlink(path);
}

result<volume_space> watched_disk::space_at(const std::string& path) {
  watch_();
  return below_.space_at(path);
}

} // namespace cairn::power
