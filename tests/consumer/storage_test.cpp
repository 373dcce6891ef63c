/// A test of a user's own, with the installed harness.

#include "tests/harness/archives.hpp"
#include "tests/harness/coordinator.hpp"
#include "tests/harness/host_process.hpp"

#include <gtest/gtest.h>

using namespace cairn;
using namespace cairn::harness;

TEST(StorageTest, ObjectSurvivesACrashOfTheHost) {
  host_process host({.disk_faults = true});
  sample_object object;
  {
    coordinator gateway(host);
    const auto client = gateway.connect();
    object = make_object(*client, "survivor", {10'000});
    host.fail_sync();
    EXPECT_EQ(archive(*client, object).result, errc::storage_error);
    ASSERT_EQ(archive(*client, object).result, errc::success);
  }
  host.kill();
  host.restart();
  coordinator gateway(host);
  EXPECT_EQ(retrieve(*gateway.connect(), "survivor").bytes, content_of(object));
}
