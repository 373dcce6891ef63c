/// A node whose value files lie on a real file system that fills up, as an operator would
/// mount it: the volume holds the value files alone, PostgreSQL is elsewhere. Nothing is injected.

#include "tests/crash/small_volume.hpp"
#include "tests/harness/archives.hpp"
#include "tests/harness/coordinator.hpp"
#include "tests/harness/host_process.hpp"

#include <filesystem>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

namespace cairn::crash {
namespace {

using namespace harness;

constexpr std::uint64_t mebibyte = 1U << 20U;
constexpr std::uint64_t volume_bytes = 640 * mebibyte;
constexpr std::uint64_t ballast_bytes = 64 * mebibyte;
/// The node looks at its space once a second: it must be more than is written meanwhile.
constexpr std::uint64_t reserve_bytes = 512 * mebibyte;
constexpr std::size_t object_bytes = mebibyte / 8;

class FullDiskTest : public testing::Test {
protected:
  void SetUp() override {
    spdlog::set_level(spdlog::level::off);
    if (const auto missing = small_volume::missing())
      GTEST_SKIP() << "no small file system: " << *missing;
    std::filesystem::create_directories(data_directory() + "/journal");
    volume_.emplace(data_directory() + "/journal", volume_bytes);
    volume_->put_ballast(ballast_bytes);
    // Small value files: the volume fills with many, and some rollover meets its end.
    host_.emplace(
      host_options{.data_directory = data_directory(),
                   .arguments = {"--max-value-file=8MiB", fmt::format("--min-reserve={}", reserve_bytes)}});
    gateway_.emplace(*host_);
  }
  void TearDown() override {
    gateway_.reset();
    host_.reset();
    volume_.reset();
  }

  [[nodiscard]] std::string data_directory() const { return scratch_ / "node"; }
  host_process& host() { return *host_; }
  small_volume& volume() { return *volume_; }
  /// A new one each time: it must not matter.
  std::unique_ptr<client> connect() { return gateway_->connect(); }

  /// Archives, several at a time, until a whole batch is refused for want of space.
  void fill(client& by) {
    constexpr std::size_t batch = 4;
    for (std::size_t refused = 0; refused < batch;) {
      refused = 0;
      std::vector<sample_object> objects;
      std::vector<pending_reply<archive_reply>> replies;
      for (std::size_t i = 0; i < batch; ++i) {
        objects.push_back(make_object(by, fmt::format("fill/{}", ++last_object_), {object_bytes}));
        replies.push_back(by.send<archive_reply>(entire_of(objects.back())));
      }
      for (std::size_t i = 0; i < batch; ++i) {
        const auto reply = replies[i]();
        ASSERT_TRUE(reply) << reply.error().message;
        if (reply->result == errc::success) {
          acknowledged_.push_back(std::move(objects[i]));
          continue;
        }
        ASSERT_EQ(reply->result, errc::no_space) << reply->error_message;
        ++refused;
        refused_.push_back(std::move(objects[i]));
      }
    }
  }

  /// Deletes what was acknowledged first.
  void expect_delete_works(client& by) {
    ASSERT_FALSE(acknowledged_.empty());
    const auto object = acknowledged_.front();
    const auto reply = ask<archive_reply>(by, delete_of(by, object));
    EXPECT_EQ(reply.result, errc::success) << reply.error_message;
    EXPECT_EQ(look_up(by, object.segment.key).result, errc::not_found);
    acknowledged_.erase(acknowledged_.begin());
    refused_.push_back(object); // nobody may see it any more
  }

  /// All that was acknowledged is there, nothing that was refused or deleted is.
  void expect_contents(client& by) const {
    for (const auto& object : acknowledged_)
      EXPECT_TRUE(retrieve(by, object.segment.key).bytes == content_of(object)) << object.segment.key;
    for (const auto& object : refused_)
      EXPECT_EQ(look_up(by, object.segment.key).result, errc::not_found) << object.segment.key;
  }

  /// Archives one object, once the writer has heard that there is space.
  void expect_resumes(client& by) {
    await_status(by, [](const auto& status) { return status.has_space; });
    const auto object = make_object(by, "resumed", {object_bytes});
    auto reply = archive(by, object);
    for (const auto until = soon(); reply.result == errc::no_space;) {
      ASSERT_LT(std::chrono::steady_clock::now(), until) << reply.error_message;
      reply = archive(by, object);
    }
    EXPECT_EQ(reply.result, errc::success) << reply.error_message;
    acknowledged_.push_back(object);
  }

  [[nodiscard]] std::size_t acknowledged_count() const { return acknowledged_.size(); }
  [[nodiscard]] std::size_t hidden_count() const { return refused_.size(); }

private:
  scratch_directory scratch_;
  std::optional<small_volume> volume_;
  std::optional<host_process> host_;
  std::optional<coordinator> gateway_;
  std::uint64_t last_object_ = 0;
  std::vector<sample_object> acknowledged_;
  std::vector<sample_object> refused_; ///< or deleted
};

TEST_F(FullDiskTest, ArchivesAreRefusedReadsAndDeletesGoOnAndArchivesResumeByThemselves) {
  const auto client = connect();
  const auto first_pid = host().pid();
  ASSERT_NO_FATAL_FAILURE(fill(*client));
  EXPECT_GT(acknowledged_count() * object_bytes, (volume_bytes - ballast_bytes - reserve_bytes) / 2);
  EXPECT_LT(volume().available_bytes(), reserve_bytes);
  await_status(*client, [](const auto& status) { return !status.has_space; });
  ASSERT_NO_FATAL_FAILURE(expect_delete_works(*client));
  expect_contents(*client);

  volume().remove_ballast();
  ASSERT_NO_FATAL_FAILURE(expect_resumes(*client));
  const auto before = acknowledged_count();
  ASSERT_NO_FATAL_FAILURE(fill(*client)); // up to the new end
  EXPECT_GT((acknowledged_count() - before) * object_bytes, ballast_bytes / 2);
  expect_contents(*client);
  EXPECT_EQ(host().pid(), first_pid);
  EXPECT_EQ(ask<status_reply>(*client, get_status{}).actor_restarts, 0U);
  fmt::print("full_disk acknowledged={} refused_or_deleted={}\n", acknowledged_count(), hidden_count());
}

TEST_F(FullDiskTest, NodeThatIsKilledWhenItsDiskIsFullStartsAndLosesNothing) {
  {
    const auto client = connect();
    ASSERT_NO_FATAL_FAILURE(fill(*client));
  }
  host().kill();
  host().restart();
  {
    const auto client = connect();
    expect_contents(*client);
    ASSERT_NO_FATAL_FAILURE(expect_delete_works(*client));
    volume().remove_ballast();
    ASSERT_NO_FATAL_FAILURE(expect_resumes(*client));
  }
  EXPECT_EQ(host().stop(), 0);
  host().restart();
  expect_contents(*connect());
}

} // namespace
} // namespace cairn::crash
