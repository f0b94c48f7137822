/** The configuration that the bench hands over in BENCH_CONFIG, with a plugin in front of its server. */
import { defineConfig, type Feature, type HeadgateConfig } from "../../src/index.ts";

export function configWith(feature: Feature): HeadgateConfig {
  const config = JSON.parse(process.env.BENCH_CONFIG!) as HeadgateConfig;
  return defineConfig({ ...config, servers: { web: { ...config.servers.web!, use: [feature] } } });
}
