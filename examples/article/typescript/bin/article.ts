import { App } from "aws-cdk-lib";
import { ArticleStack } from "../lib/article-stack";

const app = new App();
new ArticleStack(app, "Article", { analyticsReporting: false });
app.synth();
