/**
 * The package that writes certificates, with the polyfill that it asks for and that must be there before it. That one adds functions
 * to the program's `Reflect`, and both take a tenth of a second and some twenty megabytes to load: who intercepts nothing
 * never imports this.
 */
import "reflect-metadata";
import * as x509 from "@peculiar/x509";

export type { Extension, Name } from "@peculiar/x509";
export { x509 };

/** RFC 5280 section 4.2.1: identifiers of extensions. */
export const NAME_CONSTRAINTS = "2.5.29.30";
export const SUBJECT_KEY_IDENTIFIER = "2.5.29.14";
/** RFC 5280 section 4.2.1.12: id-kp-serverAuth. */
export const SERVER_AUTHENTICATION = "1.3.6.1.5.5.7.3.1";
