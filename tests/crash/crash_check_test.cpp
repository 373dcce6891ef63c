/// That the comparison of crash_test.cpp can find what it looks for.

#include "tests/crash/crash_client.hpp"
#include "tests/harness/host_process.hpp"

#include <algorithm>
#include <fstream>
#include <future>

#include <gtest/gtest.h>
#include <pqxx/pqxx>
#include <spdlog/spdlog.h>

namespace cairn::crash {
namespace {

using namespace harness;

class CrashCheckTest : public testing::Test {
protected:
  void SetUp() override {
    spdlog::set_level(spdlog::level::off);
    load_watch watch;
    auto load = std::async(std::launch::async, [&] { client_.load(host_.address(), watch); });
    watch.wait_for(40);
    watch.stop();
    load.get();
    ASSERT_EQ(lost(), 0U);
  }

  /// Of one more comparison.
  std::uint64_t lost() {
    const auto before = client_.counts().lost;
    client_.verify(host_.address(), false);
    return client_.counts().lost - before;
  }
  [[nodiscard]] bool has_problem(const std::string& text) const {
    return std::ranges::any_of(client_.problems(),
                               [&](const auto& line) { return line.find(text) != std::string::npos; });
  }
  void sql(const std::string& text) const {
    pqxx::connection connection(host_.database());
    pqxx::work work(connection);
    work.exec(text);
    work.commit();
  }
  [[nodiscard]] std::string value_file() const { return host_.data_directory() + "/spaces/1/001/00000001"; }

private:
  host_process host_;
  crash_client client_{1, 0, host_.data_directory()};
};

TEST_F(CrashCheckTest, SeesAVersionThatIsGone) {
  sql("DELETE FROM cairn.segment WHERE id IN (SELECT id FROM cairn.segment WHERE status = 'F')");
  EXPECT_GT(lost(), 0U);
  EXPECT_TRUE(has_problem("LOST: not found"));
}

TEST_F(CrashCheckTest, SeesADeletedVersionThatIsBack) {
  sql("DELETE FROM cairn.segment WHERE status = 'T'");
  sql("UPDATE cairn.segment s SET status = 'F', file_size = 0, file_adler32 = 1, file_hash = "
      "decode(repeat('00', 16), 'hex') WHERE status = 'C' AND conjoined_part = 0");
  EXPECT_GT(lost(), 0U);
  EXPECT_TRUE(has_problem("visible although it must not be"));
}

TEST_F(CrashCheckTest, SeesBytesThatChanged) {
  constexpr std::streamoff block = 4096;
  std::fstream file(value_file(), std::ios::binary | std::ios::in | std::ios::out);
  file.seekg(0, std::ios::end);
  const std::streamoff size = file.tellg();
  for (auto at = block + 100; at < size; at += block) { // in each block behind the file's header
    file.seekg(at);
    const auto changed = static_cast<char>(file.get() ^ 1);
    file.seekp(at);
    file.put(changed);
  }
  ASSERT_TRUE(file.flush());
  EXPECT_GT(lost(), 0U);
  EXPECT_TRUE(has_problem("LOST: part"));
  EXPECT_TRUE(has_problem("receipt: "));
}

} // namespace
} // namespace cairn::crash
