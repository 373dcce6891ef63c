/// What one thread may ask of a store while another waits for the disk.

#include "core/store/node_store.hpp"
#include "tests/harness/program.hpp"
#include "tests/support/memory_disk.hpp"
#include "tests/support/test_database.hpp"

#include <future>
#include <utility>

#include <gtest/gtest.h>

namespace cairn {
namespace {

using namespace std::chrono_literals;

/// A disk on which the next file to be made takes until it is told to go on.
class slow_disk final : public disk {
public:
  result<std::unique_ptr<disk_file>> create(const std::string& path, io_mode mode) override {
    creating_.set_value();
    go_on_.get_future().wait();
    return memory.create(path, mode);
  }
  result<std::unique_ptr<disk_file>> open_for_read(const std::string& path) override {
    return memory.open_for_read(path);
  }
  result<std::unique_ptr<disk_file>> open_for_repair(const std::string& path) override {
    return memory.open_for_repair(path);
  }
  result<bool> make_directory(const std::string& path) override { return memory.make_directory(path); }
  result<void> sync_directory(const std::string& path) override { return memory.sync_directory(path); }
  result<std::vector<directory_entry>> list_directory(const std::string& path) override {
    return memory.list_directory(path);
  }
  result<void> remove(const std::string& path) override { return memory.remove(path); }
  result<void> remove_directory(const std::string& path) override { return memory.remove_directory(path); }
  result<void> make_symlink(const std::string& target, const std::string& path) override {
    return memory.make_symlink(target, path);
  }
  result<std::string> read_symlink(const std::string& path) override { return memory.read_symlink(path); }
  result<volume_space> space_at(const std::string& path) override { return memory.space_at(path); }

  std::future<void> creating() { return creating_.get_future(); }
  void go_on() { go_on_.set_value(); }

  memory_disk memory;

private:
  std::promise<void> creating_, go_on_;
};

TEST(NodeStoreTest, TellsOfItsSpacesWhileAValueFileIsBeingMade) {
  harness::scratch_directory directory;
  test_database database;
  slow_disk disk;
  node_settings settings;
  settings.data_directory = directory / "node";
  settings.database = database.connection_string();
  settings.reserve_percent = 0;
  settings.min_reserve_bytes = 0;
  for (const auto* folder : {"/spaces", "/journal"})
    disk.memory.set_up_directory(settings.data_directory + folder);
  auto store = node_store::open(disk, settings);
  ASSERT_TRUE(store) << store.error().message;

  auto creating = disk.creating();
  auto recovered = std::async(std::launch::async, [&] { return (*store)->recover(); });
  ASSERT_EQ(creating.wait_for(60s), std::future_status::ready);
  auto states = std::async(std::launch::async, [&] { return (*store)->space_states(); });
  auto has_space = std::async(std::launch::async, [&] { return (*store)->has_space(); });
  EXPECT_EQ(states.wait_for(60s), std::future_status::ready);
  EXPECT_EQ(has_space.wait_for(60s), std::future_status::ready);
  disk.go_on();
  EXPECT_EQ(states.get().size(), 1U);
  EXPECT_TRUE(has_space.get());
  const auto done = recovered.get();
  EXPECT_TRUE(done) << done.error().message;
}

} // namespace
} // namespace cairn
